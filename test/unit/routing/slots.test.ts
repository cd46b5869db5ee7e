import t, { type Test } from 'tap';
import { ActiveConfig } from '../../../control-plane/src/config/active.js';
import {
  type Concurrency,
  RetellSlots,
  type SlotsReading,
} from '../../../control-plane/src/routing/slots.js';
import { eventually } from '../../harness/await.js';
import { configOf, retell, startNodes } from '../routing-fixture.js';

const WITH_KEY = { api_key: 'key_0123456789abcdef' };

async function slotsOf(
  t: Test,
  options: { answer?: Concurrency | Error; retell?: Record<string, unknown>; ours?: number[] } = {},
) {
  const ours = options.ours ?? [0];
  const config = configOf({ retell: retell({ ...WITH_KEY, ...options.retell }) });
  const active = new ActiveConfig(config);
  const { fakes, nodes } = await startNodes(
    t,
    config,
    ours.map((_, i) => `node${i + 1}`),
  );
  for (const [i, calls] of ours.entries()) fakes[i]?.profiles.set('retell', calls);
  const told: (SlotsReading | string)[] = [];
  let answer = options.answer ?? {};
  let asked = 0;
  const slots = new RetellSlots({
    config: active,
    nodes,
    getConcurrency: async () => {
      asked += 1;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    observer: {
      concurrencyRead: (reading) => told.push(reading),
      concurrencyFailed: () => told.push('failed'),
      slotsNotSet: (node) => told.push(node),
    },
  });
  t.teardown(() => slots.stop());
  return {
    slots,
    active,
    fakes,
    told,
    asked: () => asked,
    answerWith: (next: Concurrency | Error) => {
      answer = next;
    },
    held: () => fakes.map((fake) => Object.fromEntries(fake.tables.get('slots') ?? [])),
  };
}

t.test("Kamailio gets what others leave of Retell's limit", async (t) => {
  const { slots, held } = await slotsOf(t, {
    answer: { concurrency_limit: 20, current_concurrency: 9 },
    ours: [4],
  });
  await slots.poll();
  t.same(held(), [{ retell: 15, retell_outbound: 15 }]);
  t.match(slots.last, { limit: 20, current: 9, ours: 4, allowed: 15, allowed_outbound: 15, at: /Z$/ });
});

t.test('outbound calls leave free what is reserved for inbound ones, here or at Retell', async (t) => {
  const answer = { concurrency_limit: 20, current_concurrency: 0, reserved_inbound_concurrency: 3 };
  const atRetell = await slotsOf(t, { answer, retell: { reserved_inbound: 2 } });
  await atRetell.slots.poll();
  t.same(atRetell.held(), [{ retell: 20, retell_outbound: 17 }]);
  const here = await slotsOf(t, { answer, retell: { reserved_inbound: 5 } });
  await here.slots.poll();
  t.same(here.held(), [{ retell: 20, retell_outbound: 15 }]);
});

t.test('there are never fewer than no slots, nor fewer others than none', async (t) => {
  const full = await slotsOf(t, { answer: { concurrency_limit: 20, current_concurrency: 30 }, ours: [5] });
  await full.slots.poll();
  t.same(full.held(), [{ retell: 0, retell_outbound: 0 }]);
  const behind = await slotsOf(t, { answer: { concurrency_limit: 20, current_concurrency: 1 }, ours: [5] });
  await behind.slots.poll();
  t.same(behind.held(), [{ retell: 20, retell_outbound: 20 }]);
});

t.test('with burst turned on its limit counts', async (t) => {
  const { slots, held } = await slotsOf(t, {
    answer: {
      concurrency_limit: 20,
      concurrency_burst_enabled: true,
      concurrency_burst_limit: 60,
      current_concurrency: 0,
    },
  });
  await slots.poll();
  t.same(held(), [{ retell: 60, retell_outbound: 60 }]);
});

t.test('each of several nodes may have what the others leave', async (t) => {
  const { slots, held } = await slotsOf(t, {
    answer: { concurrency_limit: 20, current_concurrency: 9 },
    ours: [6, 1],
    retell: { reserved_inbound: 18 },
  });
  await slots.poll();
  t.same(held(), [
    { retell: 17, retell_outbound: 0 },
    { retell: 12, retell_outbound: 0 },
  ]);
});

t.test('calls of a node that does not answer count as those of others', async (t) => {
  const { slots, fakes, told, held } = await slotsOf(t, {
    answer: { concurrency_limit: 20, current_concurrency: 9 },
    ours: [4, 5],
  });
  const away = fakes[1];
  if (away) away.up = false;
  await slots.poll();
  t.same(held()[0], { retell: 15, retell_outbound: 15 });
  t.ok(told.includes('node2'));
});

t.test('a limit that Retell does not tell limits nothing', async (t) => {
  const { slots, held } = await slotsOf(t, { answer: { current_concurrency: 9 } });
  await slots.poll();
  t.same(held(), [{}]);
  t.match(slots.last, { limit: null, allowed: null, current: 9 });
});

t.test('where Retell does not answer the last slots stay', async (t) => {
  const { slots, told, held, answerWith } = await slotsOf(t, {
    answer: { concurrency_limit: 20, current_concurrency: 0 },
  });
  await slots.poll();
  answerWith(new Error('no answer'));
  await slots.poll();
  t.same(held(), [{ retell: 20, retell_outbound: 20 }]);
  t.equal(told.at(-1), 'failed');
  t.equal(slots.last?.limit, 20);
});

t.test('Retell is asked at once, and not at all without a key or an interval', async (t) => {
  const on = await slotsOf(t, { answer: { concurrency_limit: 20 } });
  on.slots.start();
  await eventually('the first answer', () => on.slots.last);
  const off = await slotsOf(t, { retell: { concurrency_interval_s: 0 } });
  off.slots.start();
  await off.slots.stop();
  t.equal(off.asked(), 0);
  const keyless = await slotsOf(t, { retell: { api_key: undefined } });
  keyless.slots.start();
  await keyless.slots.stop();
  t.equal(keyless.asked(), 0);
});
