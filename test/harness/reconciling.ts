import { OpenRecords } from '../../control-plane/src/calls/open-records.js';
import type { Finding } from '../../control-plane/src/calls/reconciler/findings.js';
import { NodesReconciler } from '../../control-plane/src/calls/reconciler/nodes.js';
import {
  Reconciler,
  type Reconciliation,
  type RunOutcome,
} from '../../control-plane/src/calls/reconciler/reconciler.js';
import { Zombies } from '../../control-plane/src/calls/reconciler/zombies.js';
import { CallStore } from '../../control-plane/src/calls/store.js';
import { EventBacklog } from '../../control-plane/src/kamailio/event-backlog.js';
import { KamailioNode } from '../../control-plane/src/kamailio/node.js';
import { connectRedis } from '../../control-plane/src/redis.js';
import type { Stack, TestLike } from './stack.js';

export interface ReconcilingOptions {
  mode?: 'off' | 'observe' | 'on';
  replica?: string;
  graceMs?: number;
  retell?: ConstructorParameters<typeof Reconciler>[0]['retell'];
}

/** A reconciler of a running stack that runs when a test says so, and what it has told. */
export interface Reconciling {
  reconciler: Reconciler;
  store: CallStore;
  outcomes: (RunOutcome | 'elsewhere')[];
  zombies: string[];
  /** Runs once, and gives up where it does not run. */
  run(): Promise<Reconciliation>;
  /** What a run says of this call. */
  findingOf(result: Reconciliation, id: string): Finding | undefined;
}

export async function reconciling(
  t: TestLike,
  stack: Stack,
  options: ReconcilingOptions = {},
): Promise<Reconciling> {
  const { mode = 'observe', replica = 'test', graceMs = 10_000 } = options;
  const redis = connectRedis(stack.redisUrl, () => {});
  t.teardown(() => redis.disconnect());
  await redis.connect();
  const store = new CallStore(redis, 3600);
  const zombies: string[] = [];
  const outcomes: (RunOutcome | 'elsewhere')[] = [];
  const nodes = new NodesReconciler({
    nodes: new Map(stack.nodes.map(({ rpc }) => [rpc.node, new KamailioNode(rpc)])),
    store,
    records: new OpenRecords(redis),
    backlog: new EventBacklog(redis, 3000),
    zombies: new Zombies({
      store,
      mode: () => mode,
      timeoutMs: 3000,
      observer: {
        zombieFound: (side, by) => zombies.push(`found ${side} by ${by}`),
        zombieEnded: (side, outcome) => zombies.push(`${outcome} ${side}`),
      },
    }),
    graceMs: () => graceMs,
    ringTimeoutMs: 120_000,
    adopted: async () => {},
  });
  const reconciler = new Reconciler({
    redis,
    nodes,
    retell: options.retell ?? {
      run: async () => ({ ongoing: null, ours: null, skipped: 'not part of this test', error: null }),
    },
    replica,
    intervalMs: () => 5000,
    observer: {
      reconciled: (outcome) => outcomes.push(outcome),
      reconciledElsewhere: () => outcomes.push('elsewhere'),
    },
    warn: (detail, message) => t.comment(message, detail),
  });
  t.teardown(() => reconciler.stop());
  return {
    reconciler,
    store,
    outcomes,
    zombies,
    run: async () => {
      const result = await reconciler.run();
      if (result === undefined) throw new Error(`no run: ${outcomes.at(-1)}`);
      return result;
    },
    findingOf: (result, id) => result.findings.find(({ call_id }) => call_id === id),
  };
}

/** Moves what a record says of its past back, so that a test need not wait: it is all that long ago. */
export async function age(
  { redis }: Stack,
  id: string,
  ms: number,
  fields: readonly string[],
): Promise<void> {
  for (const field of fields.includes('created_at') ? [...fields, 'invited_at'] : fields) {
    const value = await redis.hget(`call:${id}`, field);
    if (value !== null) await redis.hset(`call:${id}`, field, String(Number(value) - ms));
  }
  if ((await redis.zscore('calls:open', id)) !== null) await redis.zincrby('calls:open', -ms, id);
}
