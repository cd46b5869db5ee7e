import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import type { NodeReport } from '../../../control-plane/src/calls/reconciler/nodes.js';
import { Reconciler } from '../../../control-plane/src/calls/reconciler/reconciler.js';
import { eventually } from '../../harness/await.js';
import { startRedis } from '../retell-fixture.js';

type NodesRun = (signal: AbortSignal) => Promise<NodeReport[]>;

/** A reconciler whose look at the nodes is the test's. */
async function reconcilerOf(t: Test, nodesRun: NodesRun, intervalMs = 60_000) {
  const { url } = await startRedis(t);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  const told: string[] = [];
  const reconciler = new Reconciler({
    redis,
    nodes: { run: async (_findings, signal) => nodesRun(signal) },
    retell: { run: async () => ({ ongoing: null, ours: null, skipped: 'not here', error: null }) },
    replica: 'test',
    intervalMs: () => intervalMs,
    observer: {
      reconciled: (outcome) => told.push(outcome),
      reconciledElsewhere: () => told.push('elsewhere'),
    },
    warn: ({ detail }) => told.push(String(detail)),
  });
  t.teardown(() => reconciler.stop());
  return { redis, reconciler, told };
}

/** Hangs until it is told to stop. */
const hanging = async (signal: AbortSignal) => {
  await delay(60_000, undefined, { signal });
  return [];
};

t.test('a run that lasts keeps its lease, and gives up once another replica has it', async (t) => {
  const { redis, reconciler, told } = await reconcilerOf(t, hanging);
  const run = reconciler.run();
  await eventually('it has the lease', async () => (await redis.exists('lock:reconciler')) === 1);
  await redis.pexpire('lock:reconciler', 9000);
  await eventually('the lease is renewed', async () => (await redis.pttl('lock:reconciler')) > 9000);
  await redis.set('lock:reconciler', 'another');
  t.equal(await run, undefined);
  t.equal(told.at(-1), 'failed');
  t.equal(await reconciler.last(), undefined);
  t.equal(await redis.get('lock:reconciler'), 'another', 'which keeps it');
});

t.test('a stop gives up the run in hand, and leaves the lease to others', async (t) => {
  const { redis, reconciler, told } = await reconcilerOf(t, hanging, 10);
  reconciler.start();
  await eventually('it runs', async () => (await redis.exists('lock:reconciler')) === 1);
  await reconciler.stop();
  t.equal(await redis.exists('lock:reconciler'), 0);
  t.same(told, [], 'it did not fail');
});

t.test('runs follow each other and never overlap', async (t) => {
  let runs = 0;
  let running = 0;
  let most = 0;
  const { reconciler, told } = await reconcilerOf(
    t,
    async () => {
      running += 1;
      most = Math.max(most, running);
      await delay(30);
      running -= 1;
      runs += 1;
      return [];
    },
    10,
  );
  reconciler.start();
  await eventually('several runs', () => runs >= 5);
  await reconciler.stop();
  t.equal(most, 1);
  t.ok(told.every((outcome) => outcome === 'complete'));
});

t.test('a run that fails is told of, and the next one is made', async (t) => {
  let runs = 0;
  const { reconciler, told } = await reconcilerOf(
    t,
    async () => {
      runs += 1;
      if (runs === 1) throw new Error('no answer');
      return [];
    },
    10,
  );
  reconciler.start();
  await eventually('a run that does not fail', () => told.includes('complete'));
  t.same(told.slice(0, 3), ['no answer', 'failed', 'complete']);
});
