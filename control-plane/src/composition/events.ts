import type { Redis } from 'ioredis';
import { dueAfter } from '../calls/due/plan.js';
import type { DueWork } from '../calls/due/work.js';
import { EventHandler } from '../calls/event-handler.js';
import { SecondCalls } from '../calls/second-calls.js';
import { CallStore } from '../calls/store.js';
import type { TransferTracker } from '../calls/transfer/tracker.js';
import type { ActiveConfig } from '../config/active.js';
import { EventReader } from '../kamailio/event-reader.js';
import type { Metrics } from '../metrics/metrics.js';
import type { ExpectedCalls } from '../routing/expected-calls.js';

/** Longest wait for Redis to write events, in ms: it may be busy with those before, and rewrite its file meanwhile. */
export const EVENTS_TIMEOUT_MS = 10_000;

export interface EventsParts {
  config: ActiveConfig;
  /** A connection that blocking reads hold. */
  stream: Redis;
  /**
   * A connection for the writes, with `EVENTS_TIMEOUT_MS`. There may be thousands of events: nobody else is to wait
   * behind them, and who gives one up writes it twice.
   */
  writes: Redis;
  retentionS: number;
  /** Names of the nodes. */
  nodes: readonly string[];
  /** This replica's name in the consumer group. */
  consumer: string;
  /** The records on a connection that others use too, for what few calls need. */
  store: CallStore;
  tracker: TransferTracker;
  expected: ExpectedCalls;
  due: Pick<DueWork, 'apply'>;
  metrics: Metrics;
  warn: (detail: Record<string, unknown>, message: string) => void;
}

/** Has what Kamailio tells written into the calls' records, and what follows from it done. */
export function createEvents(parts: EventsParts): EventReader {
  const { config, stream, writes, retentionS, nodes, consumer, store, tracker, expected, due } = parts;
  const { metrics, warn } = parts;
  const secondCalls = new SecondCalls(store);
  const handler = new EventHandler(new CallStore(writes, retentionS), metrics, async (changes) => {
    await due.apply([...dueAfter(changes, config.current), ...(await tracker.after(changes))]);
    await secondCalls.tie(changes);
    await expected.after(changes);
  });
  return new EventReader({
    redis: stream,
    nodes,
    consumer,
    handle: (node, events) => handler.handle(node, events),
    warn,
    unreadable: () => metrics.eventsUnreadable(),
  });
}
