import type { Redis } from 'ioredis';
import { streamInfo } from '../control-plane/src/stream-entries.js';

/** What a stream holds, and how many entries it ever had. */
export interface StreamUse {
  bytes: number;
  entries: number;
  added: number;
}

/** What Redis holds. */
export interface RedisUse {
  /** All of it, in bytes. */
  usedBytes: number;
  /** Of that the streams, by name: they are bounded by length or time, however many calls are up. */
  streams: Record<string, StreamUse>;
}

/** @throws the error of Redis */
export async function readRedisUse(redis: Redis): Promise<RedisUse> {
  const streams: RedisUse['streams'] = {};
  for (let cursor = '0'; ; ) {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1000, 'TYPE', 'stream');
    for (const key of keys) {
      const bytes = Number(await redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0'));
      const info = await streamInfo(redis, key);
      streams[key] = {
        bytes,
        entries: Number(info?.get('length')),
        added: Number(info?.get('entries-added')),
      };
    }
    if (next === '0') break;
    cursor = next;
  }
  return { usedBytes: await usedMemory(redis), streams };
}

/** All that Redis holds, in bytes. @throws the error of Redis */
export async function usedMemory(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}

/** Bytes of all streams. */
export function streamBytes({ streams }: RedisUse): number {
  return Object.values(streams).reduce((sum, { bytes }) => sum + bytes, 0);
}
