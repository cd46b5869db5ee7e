import type { Redis } from 'ioredis';
import { DETAIL_RECORDS_DUE } from './calls/merge-script.js';
import { streamOf as eventsOf } from './kamailio/event-reader.js';
import { WEBHOOKS } from './retell/webhook-store.js';
import { streamOf as decisionsOf } from './routing/decisions.js';
import { GROUP } from './stream-consumer.js';
import { groupInfo } from './stream-entries.js';

/** Entries of a stream that nobody has handled yet. */
export interface StreamLag {
  stream: 'events' | 'webhooks' | 'decisions';
  /** undefined where the stream is of all nodes */
  node: string | undefined;
  entries: number;
}

/** What Redis tells of itself and of the work that waits in it. */
export interface RedisFigures {
  /** How long it took to answer a PING, in s. */
  pingS: number;
  usedMemory: number;
  /** 0 where there is no limit. */
  maxMemory: number;
  lags: StreamLag[];
  /** Detail records that have been due for over a minute. */
  overdueDetailRecords: number;
}

const OVERDUE_MS = 60_000;

/** @throws where Redis does not answer */
export async function redisFigures(redis: Redis, nodes: Iterable<string>): Promise<RedisFigures> {
  // Alone first: one that hangs is known by it, and the time is that of nothing else.
  const started = performance.now();
  await redis.ping();
  const pingS = (performance.now() - started) / 1000;
  const ofGroups = [...nodes].flatMap((node) => [
    groupLag(redis, 'events', node, eventsOf(node)),
    groupLag(redis, 'decisions', node, decisionsOf(node)),
  ]);
  const [memory, webhooks, overdueDetailRecords, ...lags] = await Promise.all([
    redis.info('memory'),
    // They are deleted once they are handled.
    redis.xlen(WEBHOOKS),
    redis.zcount(DETAIL_RECORDS_DUE, '-inf', Date.now() - OVERDUE_MS),
    ...ofGroups,
  ]);
  return {
    pingS,
    usedMemory: bytesOf(memory, 'used_memory'),
    maxMemory: bytesOf(memory, 'maxmemory'),
    lags: [
      { stream: 'webhooks', node: undefined, entries: webhooks },
      ...lags.filter((lag) => lag !== undefined),
    ],
    overdueDetailRecords,
  };
}

/** Entries that were not given out, and those that are in hand; undefined where Redis does not know (before 7.0). */
async function groupLag(
  redis: Redis,
  stream: StreamLag['stream'],
  node: string,
  key: string,
): Promise<StreamLag | undefined> {
  const group = await groupInfo(redis, key, GROUP);
  if (group === undefined) return { stream, node, entries: 0 };
  const lag = group.get('lag') ?? undefined;
  return lag === undefined
    ? undefined
    : { stream, node, entries: Number(lag) + Number(group.get('pending')) };
}

function bytesOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
}
