import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { OpenRecords } from '../../../control-plane/src/calls/open-records.js';
import { CallStore } from '../../../control-plane/src/calls/store.js';
import { ActiveConfig } from '../../../control-plane/src/config/active.js';
import { type Drift, LimitDrift } from '../../../control-plane/src/routing/drift.js';
import { startRedis } from '../retell-fixture.js';
import { acme, configOf, globex, startNodes } from '../routing-fixture.js';

const LONG_AGO_MS = 60_000;

async function driftOf(t: Test, names?: string[]) {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const config = configOf({ carriers: [acme(), globex()] });
  const { fakes, nodes } = await startNodes(t, config, names);
  const told: (readonly Drift[] | undefined)[] = [];
  const drift = new LimitDrift({
    config: new ActiveConfig(config),
    records: new OpenRecords(redis),
    nodes,
    observer: { limitDrift: (drifts) => told.push(drifts) },
  });
  const store = new CallStore(redis, 3600);
  let calls = 0;
  return {
    fakes,
    /** Writes the record of a call that began so long ago. */
    record: async (carrier: string | undefined, agoMs = LONG_AGO_MS) => {
      calls += 1;
      const fields = { node: 'node1', ...(carrier === undefined ? {} : { carrier }) };
      await store.merge([{ id: `call${calls}`, atMs: Date.now() - agoMs, fields }]);
      return `call${calls}`;
    },
    /** Writes that of a call that Retell was asked for so long ago, and whose INVITE has not come. */
    unplaced: () => {
      calls += 1;
      const fields = { direction: 'outbound', requested_by: 'ops' };
      return store.merge([{ id: `call${calls}`, atMs: Date.now() - LONG_AGO_MS, fields }]);
    },
    end: (id: string) => store.merge([{ id, atMs: Date.now(), fields: { ended_at: '1' } }]),
    dialogs: (node: number, sizes: Record<string, number>) => {
      for (const [profile, size] of Object.entries(sizes)) fakes[node]?.profiles.set(profile, size);
    },
    look: async () => {
      await drift.look();
      return told.at(-1);
    },
  };
}

t.test('dialogs and records that agree have no drift, over all nodes', async (t) => {
  const { record, dialogs, look } = await driftOf(t, ['node1', 'node2']);
  for (const carrier of ['acme', 'acme', 'globex']) await record(carrier);
  dialogs(0, { retell: 2, 'carrier acme': 1, 'carrier globex': 1 });
  dialogs(1, { retell: 1, 'carrier acme': 1 });
  t.same(await look(), [
    { limit: 'overall', drift: 0 },
    { limit: 'carrier', carrier: 'acme', drift: 0 },
    { limit: 'carrier', carrier: 'globex', drift: 0 },
  ]);
});

t.test('a call that was asked for has no dialog yet, however long its INVITE takes', async (t) => {
  const { record, unplaced, dialogs, look } = await driftOf(t);
  await record('acme');
  await unplaced();
  dialogs(0, { retell: 1, 'carrier acme': 1 });
  t.match(await look(), [{ drift: 0 }, { drift: 0 }, { drift: 0 }]);
  dialogs(0, { retell: 2, 'carrier acme': 2 });
  t.match(await look(), [{ drift: 0 }, { drift: 0 }, { drift: 0 }], 'it may have come just now');
});

t.test('dialogs without records are above, records without dialogs below', async (t) => {
  const { record, dialogs, look } = await driftOf(t);
  for (const carrier of ['globex', 'globex', 'globex']) await record(carrier);
  dialogs(0, { retell: 3, 'carrier acme': 2, 'carrier globex': 1 });
  t.same(await look(), [
    { limit: 'overall', drift: 0 },
    { limit: 'carrier', carrier: 'acme', drift: 2 },
    { limit: 'carrier', carrier: 'globex', drift: -2 },
  ]);
});

t.test('calls that came just now are no drift, with and without their dialogs', async (t) => {
  const { record, dialogs, look } = await driftOf(t);
  await record('acme');
  await record('acme', 0);
  await record(undefined, 0);
  for (const [all, ofAcme] of [
    [1, 1],
    [2, 2],
    [3, 3],
  ] as const) {
    dialogs(0, { retell: all, 'carrier acme': ofAcme });
    t.match(await look(), [{ drift: 0 }, { drift: 0 }, { drift: 0 }], `${all} dialogs`);
  }
  dialogs(0, { retell: 4, 'carrier acme': 4 });
  t.match(await look(), [{ drift: 1 }, { drift: 1 }, { drift: 0 }]);
});

t.test('where many calls come, a fifth of those that came just now may have no record yet', async (t) => {
  const { record, dialogs, look } = await driftOf(t);
  for (let i = 0; i < 10; i += 1) await record('acme', 0);
  for (const [all, drift] of [
    [12, 0],
    [13, 1],
  ] as const) {
    dialogs(0, { retell: all, 'carrier acme': all });
    t.match(await look(), [{ drift }, { drift }, { drift: 0 }], `${all} dialogs`);
  }
});

t.test('a call that ended counts no more', async (t) => {
  const { record, end, dialogs, look } = await driftOf(t);
  const id = await record('acme');
  dialogs(0, { retell: 1, 'carrier acme': 1 });
  t.match(await look(), [{ drift: 0 }, { drift: 0 }, { drift: 0 }]);
  await end(id);
  t.match(await look(), [{ drift: 1 }, { drift: 1 }, { drift: 0 }]);
});

t.test('where a node does not answer nothing is known', async (t) => {
  const { fakes, look } = await driftOf(t, ['node1', 'node2']);
  const away = fakes[1];
  if (away) away.up = false;
  t.equal(await look(), undefined);
});
