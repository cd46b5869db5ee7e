import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { ActiveCalls } from '../calls/active-calls.js';
import type { ActiveConfig } from '../config/active.js';
import { certificateExpiries } from '../config/certificate-expiry.js';
import type { KamailioNode } from '../kamailio/node.js';
import { figuresOf } from '../kamailio/node-statistics.js';
import type { RoutingTables } from '../kamailio/routing-tables.js';
import { FreshReading } from '../metrics/fresh-reading.js';
import type { Metrics } from '../metrics/metrics.js';
import { PolledReading } from '../metrics/polled-reading.js';
import { redisFigures } from '../redis-figures.js';
import { gatewayStates } from '../routing/gateway-states.js';
import { limitUse } from '../routing/limit-use.js';

export interface ReadingsParts {
  config: ActiveConfig;
  /** A connection for commands that fail where Redis is away. */
  redis: Redis;
  nodes: ReadonlyMap<string, KamailioNode>;
  tables: ReadonlyMap<string, RoutingTables>;
  metrics: Metrics;
}

/** How long what a scrape had read is kept for the next one, in ms. */
const KEPT_MS = 2000;
/** The longest that a scrape waits for Redis, in ms: commands in a pipeline may take longer to be given up. */
const REDIS_DEADLINE_MS = 1500;
/** How long what was read of files is kept, in ms. */
const FILES_KEPT_MS = 60_000;
/** How often calls are counted, in ms: it takes some 10 ms with 10,000 of them. */
const COUNT_INTERVAL_MS = 5000;

/**
 * Has everything that is only read kept up to date for Prometheus: what is read in a moment when a scrape comes, what
 * grows with the calls by itself.
 *
 * @returns what has to be started and stopped
 */
export function createReadings({ config, redis, nodes, tables, metrics }: ReadingsParts): PolledReading[] {
  const calls = new ActiveCalls(redis);
  const fresh = [
    new FreshReading(async () => {
      const figures = await figuresOf(nodes);
      metrics.kamailio.read(figures);
      // Who did not answer that is not waited for again.
      const answering = new Map([...tables].filter(([node]) => figures.get(node) !== undefined));
      metrics.gateways.read(await gatewayStates(config.current, answering));
    }, KEPT_MS),
    new FreshReading(async () => {
      const figures = await inTime(redisFigures(redis, nodes.keys())).catch(() => undefined);
      metrics.redis.read(figures);
      if (figures === undefined) metrics.calls.active(undefined);
    }, KEPT_MS),
    new FreshReading(
      async () => metrics.certificates.read(await certificateExpiries(config.current)),
      FILES_KEPT_MS,
    ),
  ];
  metrics.beforeScrape(async () => void (await Promise.all(fresh.map((reading) => reading.bring()))));
  return [
    new PolledReading(
      async () => metrics.calls.active(await calls.count().catch(() => undefined)),
      COUNT_INTERVAL_MS,
    ),
    new PolledReading(
      async () => metrics.limits.used(await limitUse(config.current, tables)),
      COUNT_INTERVAL_MS,
    ),
  ];
}

/** @throws where it is not there in time */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const settled = new AbortController();
  const deadline = delay(REDIS_DEADLINE_MS, undefined, { signal: settled.signal }).then(() => {
    throw new Error('no answer in time');
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    settled.abort();
  }
}
