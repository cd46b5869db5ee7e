import type { Redis, Result } from 'ioredis';
import { writtenAt } from '../stream-entries.js';
import { parseStored, type StoredWebhook } from './stored-webhook.js';

/** Webhooks that are answered and not handled yet. */
export const WEBHOOKS = 'retell:webhooks';
/** Those that nobody could handle, and those about calls that did not pass here, each with how many are kept. */
const LISTS = {
  given_up: { key: 'retell:webhooks:dead', most: 10_000 },
  foreign: { key: 'retell:webhooks:foreign', most: 1000 },
} as const;
export const WEBHOOK_LISTS = ['given_up', 'foreign'] as const;
export type WebhookList = (typeof WEBHOOK_LISTS)[number];
/** More than that wait only where nobody handles them: then Retell has to send them again. */
const MOST = 200_000;
/** How long a webhook that is tried again is kept, in s. */
const RETRY_KEPT_S = 86_400;

/** Most in one command: no other waits long for it. */
const MOST_AT_ONCE = 100;

/** KEYS: stream. ARGV: most, then the webhooks. Returns how many there was room for, from the first on. */
const ADD = `
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local added = math.max(0, math.min(room, #ARGV - 1))
for i = 2, added + 1 do redis.call('XADD', KEYS[1], '*', 'webhook', ARGV[i]) end
return added
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    addWebhooks(stream: string, most: number, ...webhooks: string[]): Result<number, Context>;
  }
}

/** A webhook on its way into Redis, and whoever waits for it. */
interface Adding {
  webhook: string;
  resolve: (added: boolean) => void;
  reject: (error: unknown) => void;
}

/**
 * Why a webhook is dead: it is about a call of ours that never came, it could not be written, or it is about a call that
 * did not pass here.
 */
export type DeadReason = 'unmatched' | 'failed' | 'foreign';

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
  #adding: Adding[] = [];

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.defineCommand('addWebhooks', { numberOfKeys: 1, lua: ADD });
  }

  /**
   * Resolves when it is in Redis. Those of one turn of the event loop go there together: a command for each is a good
   * part of the work where thousands come in a second.
   *
   * @returns false where as many wait as may
   */
  add(webhook: StoredWebhook): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#adding.length === 0) setImmediate(() => this.#addAll());
      this.#adding.push({ webhook: JSON.stringify(webhook), resolve, reject });
    });
  }

  #addAll(): void {
    const all = this.#adding;
    this.#adding = [];
    for (let at = 0; at < all.length; at += MOST_AT_ONCE)
      void this.#addSome(all.slice(at, at + MOST_AT_ONCE));
  }

  async #addSome(some: readonly Adding[]): Promise<void> {
    try {
      const added = await this.#redis.addWebhooks(WEBHOOKS, MOST, ...some.map(({ webhook }) => webhook));
      for (const [i, { resolve }] of some.entries()) resolve(i < added);
    } catch (error) {
      for (const { reject } of some) reject(error);
    }
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

  /** Gives some up; the newest of these are kept for a human to look at. */
  async bury(webhooks: readonly StoredWebhook[], reason: DeadReason, detail: string): Promise<void> {
    const { key, most } = LISTS[reason === 'foreign' ? 'foreign' : 'given_up'];
    await Promise.all(
      webhooks.map((webhook) => {
        const fields = ['reason', reason, 'detail', detail, 'webhook', JSON.stringify(webhook)];
        return this.#redis.xadd(key, 'MAXLEN', '~', most, '*', ...fields);
      }),
    );
  }

  /**
   * Those on a list, newest first.
   *
   * @param before id of the last one of the page before
   */
  async dead(list: WebhookList, limit: number, before?: string): Promise<DeadWebhook[]> {
    const newest = before === undefined ? '+' : `(${before}`;
    const entries = await this.#redis.xrevrange(LISTS[list].key, newest, '-', 'COUNT', limit);
    return entries.map(([id, fields]) => deadOf(id, fields));
  }

  /** Forgets those that were given up before a time, in ms since 1970. */
  async trim(beforeMs: number): Promise<void> {
    await Promise.all(Object.values(LISTS).map(({ key }) => this.#redis.xtrim(key, 'MINID', beforeMs)));
  }

  /** Has one that was given up handled anew. @returns false where there is none with this id */
  async replay(id: string): Promise<boolean> {
    for (const { key } of Object.values(LISTS)) {
      const [entry] = await this.#redis.xrange(key, id, id);
      if (entry === undefined) continue;
      await this.add(deadOf(...entry).webhook);
      await this.#redis.xdel(key, id);
      return true;
    }
    return false;
  }
}

function deadOf(id: string, fields: string[]): DeadWebhook {
  const [, reason = '', , detail = '', , webhook = '{}'] = fields;
  return {
    id,
    reason: reason as DeadReason,
    detail,
    deadAt: writtenAt(id),
    webhook: parseStored(webhook),
  };
}

function keyOf(id: string): string {
  return `retell:webhook:${id}`;
}
