import type { Redis, Result } from 'ioredis';
import { isEarlier } from '../stream-entries.js';
import type { Attempt, DeliveryOutcome } from './delivery-log.js';
import { DELIVERIES_KEPT, deliveriesKey, entryOf } from './delivery-log.js';
import type { Delivery } from './endpoint.js';

/** Why nothing is sent to an endpoint: too many attempts failed, or it answered 410. */
export type DisabledFor = 'failures' | 'gone';

/** What is known of an endpoint; times in ms since 1970. */
export interface EndpointState {
  /** The first event that it gets. */
  since: string;
  failures: number;
  disabled_at: number | undefined;
  disabled_for: DisabledFor | undefined;
  last_success_at: number | undefined;
}

/** What the outcome of a delivery says of its endpoint. */
export type Verdict = 'well' | 'failing' | 'gone' | 'untold';

/** Names of the endpoints that have a state. */
const NAMES = 'webhook-endpoints';
const stateKey = (name: string): string => `webhook-endpoint:${name}`;

/**
 * Writes the outcome of a delivery into the log and into the endpoint's state, unless that is gone: the endpoint was
 * taken out of the configuration.
 *
 * KEYS: state, log
 * ARGV: verdict, failed attempts in a row that disable, ms that they last at least, entries kept, then the log's fields
 * Returns 1 where the endpoint was disabled by it.
 */
const SETTLE = `
if redis.call('HEXISTS', KEYS[1], 'since') == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[4], '*', unpack(ARGV, 5))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = string.format('%d', now)
if ARGV[1] == 'untold' then return 0 end
if ARGV[1] == 'well' then
  redis.call('HDEL', KEYS[1], 'failures', 'failing_since')
  redis.call('HSET', KEYS[1], 'last_success_at', text)
  return 0
end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
redis.call('HSETNX', KEYS[1], 'failing_since', text)
if redis.call('HEXISTS', KEYS[1], 'disabled_at') == 1 then return 0 end
local why = nil
if ARGV[1] == 'gone' then why = 'gone'
elseif failures >= tonumber(ARGV[2]) and now - redis.call('HGET', KEYS[1], 'failing_since') >= tonumber(ARGV[3]) then
  why = 'failures'
end
if not why then return 0 end
redis.call('HSET', KEYS[1], 'disabled_at', text, 'disabled_for', why)
return 1
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    settleDelivery(
      state: string,
      log: string,
      verdict: Verdict,
      most: number,
      leastMs: number,
      kept: number,
      ...fields: (string | number)[]
    ): Result<number, Context>;
  }
}

/** When too many attempts have failed. */
export interface DisableRule {
  /** So many in a row. */
  after: number;
  /** And for so long at least, in ms: a restart of a busy receiver disables nothing. */
  leastMs: number;
}

/** What all replicas know of the endpoints, in Redis. Every method rejects when Redis does not answer in time. */
export class EndpointStates {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.defineCommand('settleDelivery', { numberOfKeys: 2, lua: SETTLE });
  }

  /**
   * Gives each of these endpoints a state, and forgets those of all others: one that is put back later begins anew.
   *
   * @param first the first event that an endpoint gets which has no state yet
   */
  async keep(names: readonly string[], first: (name: string) => string): Promise<void> {
    const gone = (await this.#redis.smembers(NAMES)).filter((name) => !names.includes(name));
    if (names.length + gone.length === 0) return;
    const pipeline = this.#redis.pipeline();
    if (gone.length > 0) pipeline.srem(NAMES, ...gone).del(...gone.flatMap(keysOf));
    if (names.length > 0) pipeline.sadd(NAMES, ...names);
    for (const name of names) pipeline.hsetnx(stateKey(name), 'since', first(name));
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }

  /** The states of these endpoints, in their order; undefined for one that has none yet. */
  async read(names: readonly string[]): Promise<(EndpointState | undefined)[]> {
    return Promise.all(names.map(async (name) => stateOf(await this.#redis.hgetall(stateKey(name)))));
  }

  async isDisabled(name: string): Promise<boolean> {
    return (await this.#redis.hexists(stateKey(name), 'disabled_at')) === 1;
  }

  /** @returns whether it was disabled */
  async enable(name: string): Promise<boolean> {
    const fields = ['disabled_for', 'failures', 'failing_since'];
    const [, disabled] = await Promise.all([
      this.#redis.hdel(stateKey(name), ...fields),
      this.#redis.hdel(stateKey(name), 'disabled_at'),
    ]);
    return disabled === 1;
  }

  /** Keeps what became of a delivery. @returns whether that has disabled the endpoint */
  async settle(
    { endpoint, event }: Delivery,
    outcome: DeliveryOutcome,
    attempt: Attempt,
    verdict: Verdict,
    rule: DisableRule,
  ): Promise<boolean> {
    const fields = entryOf(
      { event_id: event.id, type: event.type, call_id: event.call_id },
      outcome,
      attempt,
    );
    const keys = [stateKey(endpoint), deliveriesKey(endpoint)] as const;
    const kept = DELIVERIES_KEPT;
    return (
      (await this.#redis.settleDelivery(...keys, verdict, rule.after, rule.leastMs, kept, ...fields)) === 1
    );
  }
}

/** Whether an endpoint gets this event, or was put into the configuration after it. */
export function isSince(since: string, eventId: string): boolean {
  return !isEarlier(eventId, since);
}

function keysOf(name: string): string[] {
  return [stateKey(name), deliveriesKey(name)];
}

function stateOf(fields: Record<string, string>): EndpointState | undefined {
  const { since, failures, disabled_at, disabled_for, last_success_at } = fields;
  if (since === undefined) return undefined;
  return {
    since,
    failures: Number(failures ?? 0),
    disabled_at: disabled_at === undefined ? undefined : Number(disabled_at),
    disabled_for: disabled_for as DisabledFor | undefined,
    last_success_at: last_success_at === undefined ? undefined : Number(last_success_at),
  };
}
