import type { Redis } from 'ioredis';
import { streamOf } from '../control-plane/src/kamailio/event-reader.js';

/** The stream of raw events of the one node that is measured. */
export const NODE_EVENTS = streamOf('node1');

/** What Redis holds. */
export interface RedisUse {
  /** All of it, in bytes. */
  usedBytes: number;
  /** Of that the streams, by name: they are bounded by length or time, however many calls are up. */
  streams: Record<string, { bytes: number; entries: number }>;
}

/** @throws the error of Redis */
export async function readRedisUse(redis: Redis): Promise<RedisUse> {
  const streams: RedisUse['streams'] = {};
  for (let cursor = '0'; ; ) {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1000, 'TYPE', 'stream');
    for (const key of keys) {
      streams[key] = { bytes: await memoryUsage(redis, key, 0), entries: await redis.xlen(key) };
    }
    if (next === '0') break;
    cursor = next;
  }
  return { usedBytes: await usedMemory(redis), streams };
}

/**
 * Bytes of one key, 0 where it is not there.
 *
 * @param samples how many of its nested values are looked at, of which the others are taken to be the mean; 0: all
 * @throws the error of Redis
 */
export async function memoryUsage(redis: Redis, key: string, samples: number): Promise<number> {
  return Number((await redis.call('MEMORY', 'USAGE', key, 'SAMPLES', samples)) ?? 0);
}

/** All that Redis holds, in bytes. @throws the error of Redis */
export async function usedMemory(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}

/** Bytes of all streams. */
export function streamBytes({ streams }: RedisUse): number {
  return Object.values(streams).reduce((sum, { bytes }) => sum + bytes, 0);
}
