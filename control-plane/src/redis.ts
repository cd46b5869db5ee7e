import { Command, Redis } from 'ioredis';

// Hashes as dictionaries (calls/record.ts, `timeline`).
Command.setReplyTransformer('hgetall', (reply: unknown) => {
  if (!Array.isArray(reply)) return reply;
  const fields: Record<string, string> = Object.create(null);
  for (let i = 0; i < reply.length; i += 2) fields[reply[i]] = reply[i + 1];
  return fields;
});

/** Told of a connection's errors; ioredis reconnects by itself. */
export type RedisWarn = (detail: Record<string, unknown>, message: string) => void;

/** Reconnects at once, then ever more slowly, at most every second. */
const retryStrategy = (attempt: number): number => Math.min(50 * attempt, 1000);

/**
 * A connection for commands that somebody waits for: where Redis is away they fail within `timeoutMs`
 * instead of piling up.
 */
export function connectRedis(url: string, warn: RedisWarn, timeoutMs = 2000): Redis {
  const redis = new Redis(url, {
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    // Commands of one turn of the event loop leave in one write: with many calls at once that is most of the work.
    enableAutoPipelining: true,
    connectTimeout: timeoutMs,
    lazyConnect: true,
    retryStrategy,
  });
  redis.on('error', (error) => warn({ err: error }, 'Redis connection failed'));
  return redis;
}

/** A connection that waits for Redis as long as it takes: blocking reads and subscriptions. */
export function connectPatientRedis(url: string, warn: RedisWarn): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    connectTimeout: 2000,
    lazyConnect: true,
    retryStrategy,
  });
  redis.on('error', (error) => warn({ err: error }, 'Redis connection failed'));
  return redis;
}
