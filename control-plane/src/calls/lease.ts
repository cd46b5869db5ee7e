import { randomUUID } from 'node:crypto';
import type { Redis, Result } from 'ioredis';

/** Takes the lease, or keeps it longer, unless somebody else has it. KEYS: lease; ARGV: holder, ms. */
const HOLD = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`;
/** Gives it back, where it is still ours. */
const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    holdLease(key: string, holder: string, ms: number): Result<number, Context>;
    releaseLease(key: string, holder: string): Result<number, Context>;
  }
}

/** The right of one replica to do something, for a time: where that replica dies, another gets it after that time. */
export class Lease {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #holder = randomUUID();

  constructor(redis: Redis, name: string) {
    this.#redis = redis;
    this.#key = `lock:${name}`;
    redis.defineCommand('holdLease', { numberOfKeys: 1, lua: HOLD });
    redis.defineCommand('releaseLease', { numberOfKeys: 1, lua: RELEASE });
  }

  /**
   * Takes it, or where it is ours already, keeps it for so long from now.
   *
   * @returns false where somebody else has it
   */
  async hold(ms: number): Promise<boolean> {
    return (await this.#redis.holdLease(this.#key, this.#holder, Math.ceil(ms))) === 1;
  }

  async release(): Promise<void> {
    await this.#redis.releaseLease(this.#key, this.#holder);
  }
}
