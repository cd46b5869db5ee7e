import type { Redis } from 'ioredis';

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
      const bytes = Number(await redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0'));
      streams[key] = { bytes, entries: await redis.xlen(key) };
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
