import type { Redis } from 'ioredis';
import type { DueWork } from '../calls/due/work.js';
import { IdempotencyKeys } from '../calls/idempotency.js';
import type { CallStore } from '../calls/store.js';
import type { ActiveConfig } from '../config/active.js';
import type { EventBacklog } from '../kamailio/event-backlog.js';
import type { KamailioNode } from '../kamailio/node.js';
import type { OriginationMetrics } from '../metrics/origination-metrics.js';
import type { RetellApi } from '../retell/api.js';
import type { ExpectedCalls } from '../routing/expected-calls.js';
import { Origination } from '../routing/origination.js';
import { UnplacedCalls } from '../routing/unplaced-calls.js';

export interface OriginationParts {
  config: ActiveConfig;
  /** A connection for commands that somebody waits for. */
  redis: Redis;
  nodes: ReadonlyMap<string, KamailioNode>;
  store: CallStore;
  due: Pick<DueWork, 'schedule' | 'forget'>;
  expected: ExpectedCalls;
  backlog: EventBacklog;
  retell: RetellApi;
  metrics: OriginationMetrics;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** Puts together what places calls, and what looks after those that do not come. */
export function createOrigination(parts: OriginationParts): {
  origination: Origination;
  unplaced: UnplacedCalls;
} {
  const { redis, nodes, backlog, retell, metrics } = parts;
  const unplaced = new UnplacedCalls({
    ...parts,
    api: retell,
    eventsWritten: async () => {
      const written = await Promise.all([...nodes.values()].map((node) => backlog.written(node)));
      return written.every(Boolean);
    },
    closed: (outcome) => metrics.unplacedClosed(outcome),
  });
  const origination = new Origination({ ...parts, api: retell, keys: new IdempotencyKeys(redis), unplaced });
  return { origination, unplaced };
}
