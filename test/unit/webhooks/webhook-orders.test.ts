import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { detailRecordOf } from '../../../control-plane/src/calls/detail-record.js';
import { EventHandler } from '../../../control-plane/src/calls/event-handler.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import type { LegState, SipEvent } from '../../../control-plane/src/kamailio/events.js';
import { CallFinder } from '../../../control-plane/src/retell/call-finder.js';
import { CallWebhook } from '../../../control-plane/src/retell/call-webhook.js';
import { readWebhook, type StoredWebhook } from '../../../control-plane/src/retell/stored-webhook.js';
import { Random } from '../../harness/random.js';
import { SILENT } from '../../harness/silent-observer.js';
import { configWith, startRedis, TRUNK } from '../retell-fixture.js';

const CALLER = '+14155550123';
const START = 1_790_000_000_000;
const LEG: LegState = {
  tag: 'tag',
  contact: 'sip:192.0.2.1',
  route_set: [],
  cseq: 1,
  socket: 'udp:192.0.2.2:5060',
};
const ENDED = {
  call_status: 'ended',
  end_timestamp: START + 42_000,
  duration_ms: 40_000,
  disconnection_reason: 'agent_hangup',
  latency: { e2e: { p50: 800, p99: 1200, num: 7 } },
};

/** What happens to one call: its events in their order, and its webhooks. */
function storyOf(id: string, ref: object) {
  const base = {
    ...{ call_id: `call_${id}`, agent_id: 'agent_1', direction: 'inbound', start_timestamp: START + 1000 },
    ...{ from_number: CALLER, to_number: TRUNK, transcript: 'Agent: hello', ...ref },
  };
  const webhooks: [event: string, call: object][] = [
    ['call_started', { ...base, call_status: 'ongoing' }],
    ['call_ended', { ...base, ...ENDED, call_cost: { combined_cost: 31 } }],
    [
      'call_analyzed',
      { ...base, ...ENDED, call_cost: { combined_cost: 35 }, call_analysis: { call_successful: true } },
    ],
  ];
  const at = (ms: number) => (START + ms) * 1000;
  const events: SipEvent[] = [
    {
      ...{ type: 'invite', at: at(0), id, direction: 'inbound', carrier: 'acme', source: '192.0.2.1:5060' },
      ...{ sip_call_id: id, from_tag: 'tag', from: CALLER, to: TRUNK, number: TRUNK },
    },
    {
      ...{ type: 'answered', at: at(2000), id, carrier: 'acme', gateway: 'sip:retell', max_duration_s: 7200 },
      ...{ h_entry: 1, h_id: 1, from_uri: 'sip:a', to_uri: 'sip:b', caller: LEG, callee: LEG },
    },
    { type: 'ended', at: at(42_000), id, by: 'retell', reason: undefined },
  ] as SipEvent[];
  return { webhooks: webhooks.map(stored), events };
}

function stored([event, call]: [string, object], receivedAt = START): StoredWebhook {
  const body = { event, call };
  return readWebhook(body, JSON.stringify(body), receivedAt, []) as StoredWebhook;
}

async function start(t: Test) {
  const { url } = await startRedis(t);
  const redis = new Redis(url, { enableAutoPipelining: true });
  t.teardown(() => redis.disconnect());
  const store = new CallStore(redis, 3600);
  const handler = new EventHandler(store, SILENT);
  const callWebhook = new CallWebhook({
    config: { current: configWith() },
    store,
    due: { apply: async () => {}, hasten: async () => {} },
    finder: new CallFinder(store),
    correlated: () => {},
  });
  /** Plays steps in this order; what comes too early is tried again after them, as the worker does. */
  const play = async (steps: readonly (SipEvent | StoredWebhook)[]) => {
    const early: StoredWebhook[] = [];
    for (const step of steps) {
      if ('type' in step) await handler.handle('node1', [step]);
      else if ((await callWebhook.handle([step]))[0] === 'early') early.push(step);
    }
    t.same(
      await callWebhook.handle(early),
      early.map(() => 'written'),
    );
  };
  /** The record as it ended, without what differs from call to call. */
  const recordOf = async (id: string) => {
    const call = await store.get(id);
    if (call === undefined) throw new Error(`no record of ${id}`);
    return JSON.parse(JSON.stringify(detailRecordOf(call)).replaceAll(id, 'ID'));
  };
  return { store, play, recordOf };
}

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length < 2) return [[...list]];
  return list.flatMap((first, i) =>
    permutations([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [first, ...rest]),
  );
}

/** All ways to play the events, in their order, among the steps. */
function interleavings<A, B>(events: readonly A[], steps: readonly B[]): (A | B)[][] {
  const [event, ...later] = events;
  const [step, ...others] = steps;
  if (event === undefined) return [[...steps]];
  if (step === undefined) return [[...events]];
  return [
    ...interleavings(later, steps).map((rest) => [event, ...rest]),
    ...interleavings(events, others).map((rest) => [step, ...rest]),
  ];
}

t.test(
  'webhooks in every order, before, amid and after the call, doubled, leave the same record',
  async (t) => {
    const { play, recordOf } = await start(t);
    const random = new Random(6);
    const expected = {
      ...{
        state: 'ended',
        ended_by: 'retell',
        sip_status: 200,
        agent_id: 'agent_1',
        retell_call_id: 'call_ID',
      },
      ...{ retell_disconnection_reason: 'agent_hangup', retell_matched_by: 'metadata' },
      retell: { cost_cents: 35, call_successful: true, latency: { e2e: { p50: 800 } }, transcript: null },
      explanation: 'Retell ended the call after 40 s, as the agent hung up (agent_hangup).',
    };
    let first: unknown;
    let played = 0;
    const shapes = permutations([0, 1, 2]).flatMap((order) => interleavings(['e0', 'e1', 'e2'], order));
    for (const shape of shapes) {
      const id = randomUUID();
      const { webhooks, events } = storyOf(id, { metadata: { call_ref: id } });
      const steps = shape.map((step) =>
        typeof step === 'number' ? (webhooks[step] as StoredWebhook) : (events[Number(step[1])] as SipEvent),
      );
      // Each webhook once more, anywhere after its first time.
      for (const webhook of webhooks) {
        const place = steps.indexOf(webhook);
        steps.splice(place + 1 + random.below(steps.length - place), 0, webhook);
      }
      await play(steps);
      const record = await recordOf(id);
      first ??= record;
      if (played === 0) t.match(record, expected);
      t.same(record, first, JSON.stringify(shape));
      played += 1;
    }
    t.equal(played, 120);
  },
);

t.test('a call without our id is found by its numbers and time, where only one can be meant', async (t) => {
  const { store, play, recordOf } = await start(t);
  const [one, other] = [randomUUID(), randomUUID()];
  const { webhooks, events } = storyOf(one, {});
  await play([...webhooks, ...events]);
  t.match(await recordOf(one), { retell_call_id: 'call_ID', retell_matched_by: 'numbers' });

  const twin = storyOf(other, {});
  const third = randomUUID();
  await play(storyOf(third, {}).events);
  await play(twin.events);
  const finder = new CallFinder(store);
  const told = (twin.webhooks[0] as StoredWebhook).call;
  t.equal(told && (await finder.find(told, true, START)), undefined, 'two calls are left that it may be');
});

t.test("a webhook of another call of Retell's is never written into a record that has one", async (t) => {
  const { play, recordOf } = await start(t);
  const id = randomUUID();
  const { webhooks, events } = storyOf(id, { metadata: { call_ref: id } });
  await play([...events, ...webhooks]);
  const before = await recordOf(id);
  const stranger = stored([
    'call_analyzed',
    {
      ...{ call_id: 'call_stranger', from_number: CALLER, to_number: TRUNK, start_timestamp: START + 1000 },
      ...{ metadata: { call_ref: id }, call_analysis: { user_sentiment: 'Negative' } },
    },
  ]);
  await play([stranger]);
  t.same(await recordOf(id), before);
});
