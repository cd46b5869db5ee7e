import type { Redis } from 'ioredis';
import { afterAnswer } from '../calls/due/plan.js';
import type { DueWork } from '../calls/due/work.js';
import type { OpenRecords } from '../calls/open-records.js';
import { NodesReconciler } from '../calls/reconciler/nodes.js';
import { Reconciler, type ReconcilerObserver } from '../calls/reconciler/reconciler.js';
import { Zombies } from '../calls/reconciler/zombies.js';
import type { CallStore } from '../calls/store.js';
import type { ZombieObserver } from '../calls/zombies.js';
import type { ActiveConfig } from '../config/active.js';
import { EventBacklog } from '../kamailio/event-backlog.js';
import type { KamailioNode } from '../kamailio/node.js';
import type { RetellApi } from '../retell/api.js';
import type { Reaper } from '../retell/reaper.js';
import { RetellReconciler } from '../retell/reconciler.js';

/** What a side may take at least, in ms: a BYE that gets no answer is given up after some seconds. */
const LEAST_GRACE_MS = 5000;

export interface ReconcilerParts {
  config: ActiveConfig;
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  nodes: ReadonlyMap<string, KamailioNode>;
  store: CallStore;
  records: OpenRecords;
  due: DueWork;
  retell: RetellApi;
  reaper: Reaper;
  /** This replica's name. */
  replica: string;
  observer: ReconcilerObserver;
  zombies: ZombieObserver;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** Puts the reconciler together. What the configuration says is looked at for each run, except for what needs a restart. */
export function createReconciler(parts: ReconcilerParts): Reconciler {
  const { config, redis, nodes, store, records, due, reaper } = parts;
  const graceMs = () => Math.max(config.current.calls.reaper.grace_s * 1000, LEAST_GRACE_MS);
  return new Reconciler({
    redis,
    nodes: new NodesReconciler({
      nodes,
      store,
      records,
      backlog: new EventBacklog(redis),
      zombies: new Zombies({
        store,
        mode: () => config.current.calls.reaper.end_dialogs,
        timeoutMs: config.current.calls.hangup_timeout_ms,
        observer: parts.zombies,
      }),
      graceMs,
      ringTimeoutMs: config.current.calls.ring_timeout_s * 1000,
      adopted: (record) => due.apply(afterAnswer(record, config.current)),
    }),
    retell: new RetellReconciler({
      configured: () => config.current.retell.api_key !== undefined,
      api: parts.retell,
      store,
      records,
      reaper,
      graceMs,
    }),
    replica: parts.replica,
    intervalMs: () => config.current.calls.reconcile_interval_s * 1000,
    observer: parts.observer,
    warn: parts.warn,
  });
}
