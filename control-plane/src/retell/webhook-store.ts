import type { Redis, Result } from 'ioredis';
import { parseStored, type StoredWebhook } from './stored-webhook.js';

/** Webhooks that are answered and not handled yet. */
export const WEBHOOKS = 'retell:webhooks';
/** Those that nobody could handle. */
const DEAD = 'retell:webhooks:dead';
/** More than that wait only where nobody handles them: then Retell has to send them again. */
const MOST = 200_000;
const MOST_DEAD = 10_000;
/** How long a webhook that is tried again is kept, in s. */
const RETRY_KEPT_S = 86_400;

/** KEYS: stream. ARGV: most, webhook. Returns the entry's id, or false where there are too many. */
const ADD = `
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end
return redis.call('XADD', KEYS[1], '*', 'webhook', ARGV[2])
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    addWebhook(stream: string, most: number, webhook: string): Result<string | null, Context>;
  }
}

/** Why a webhook is dead: it is about no call of ours that ever came, or it could not be written. */
export type DeadReason = 'unmatched' | 'failed';

export interface DeadWebhook {
  id: string;
  reason: DeadReason;
  detail: string;
  /** ms since 1970 */
  deadAt: number;
  webhook: StoredWebhook;
}

/** Retell's webhooks in Redis, from their answer until they are in a record or given up. */
export class WebhookStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.defineCommand('addWebhook', { numberOfKeys: 1, lua: ADD });
  }

  /** @returns false where as many wait as may */
  async add(webhook: StoredWebhook): Promise<boolean> {
    return (await this.#redis.addWebhook(WEBHOOKS, MOST, JSON.stringify(webhook))) !== null;
  }

  /** Keeps one that is to be tried again under this name. */
  async keep(id: string, webhook: StoredWebhook): Promise<void> {
    await this.#redis.set(keyOf(id), JSON.stringify(webhook), 'EX', RETRY_KEPT_S);
  }

  async kept(id: string): Promise<StoredWebhook | undefined> {
    const text = await this.#redis.get(keyOf(id));
    return text === null ? undefined : parseStored(text);
  }

  async forget(id: string): Promise<void> {
    await this.#redis.del(keyOf(id));
  }

  /** Gives one up; the newest of these are kept for a human to look at. */
  async bury(webhook: StoredWebhook, reason: DeadReason, detail: string): Promise<void> {
    const fields = ['reason', reason, 'detail', detail, 'webhook', JSON.stringify(webhook)];
    await this.#redis.xadd(DEAD, 'MAXLEN', '~', MOST_DEAD, '*', ...fields);
  }

  /**
   * Those that were given up, newest first.
   *
   * @param before id of the last one of the page before
   */
  async dead(limit: number, before?: string): Promise<DeadWebhook[]> {
    const entries = await this.#redis.xrevrange(
      DEAD,
      before === undefined ? '+' : `(${before}`,
      '-',
      'COUNT',
      limit,
    );
    return entries.map(([id, fields]) => deadOf(id, fields));
  }

  /** Forgets those that were given up before a time, in ms since 1970. */
  async trim(beforeMs: number): Promise<void> {
    await this.#redis.xtrim(DEAD, 'MINID', beforeMs);
  }

  /** Has one that was given up handled anew. @returns false where there is none with this id */
  async replay(id: string): Promise<boolean> {
    const [entry] = await this.#redis.xrange(DEAD, id, id);
    if (entry === undefined) return false;
    await this.add(deadOf(...entry).webhook);
    await this.#redis.xdel(DEAD, id);
    return true;
  }
}

/** What an id of a stream's entry looks like. */
export const ENTRY_ID = /^\d{1,15}-\d{1,10}$/;

function deadOf(id: string, fields: string[]): DeadWebhook {
  const [, reason = '', , detail = '', , webhook = '{}'] = fields;
  return {
    id,
    reason: reason as DeadReason,
    detail,
    deadAt: Number(id.split('-')[0]),
    webhook: parseStored(webhook),
  };
}

function keyOf(id: string): string {
  return `retell:webhook:${id}`;
}
