import { setTimeout as delay } from 'node:timers/promises';
import type { Redis, Result } from 'ioredis';
import { DUE_KINDS, type DueKind, type DuePolicy, dueKey, policyOf } from './kinds.js';

/** One piece of work; without a time it is not wanted any more. */
export interface DueChange {
  kind: DueKind;
  /** What it is for: a call's id, for a transfer that and `/` and its own, for a webhook that of its entry, for a delivery what it delivers. */
  id: string;
  /** When it is due, in ms since 1970. */
  atMs?: number;
}

/** How a try ended: `dropped` where it was the last one. */
export type DueOutcome = 'done' | 'failed' | 'dropped';

/** What a handler throws where its piece has to be tried again and there is nothing to warn of. */
export class Unfinished extends Error {
  override readonly name = 'Unfinished';

  /**
   * @param afterMs where nothing was tried: the piece is due again after so long, and the try does not count; without
   *   it, the try has failed
   */
  constructor(
    message: string,
    readonly afterMs?: number,
  ) {
    super(message);
  }
}

export interface DueWorkOptions {
  /** A connection for commands that fail where Redis is away. */
  redis: Redis;
  /**
   * Do the work; they may be called again for the same piece, and reject where it has to be tried again. They are told
   * where nobody tries again after them, and which try it is, from 1.
   */
  handlers: Record<DueKind, (id: string, last: boolean, tries: number) => Promise<void>>;
  /** Told of trouble. */
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Told of every try. */
  tried?: (kind: DueKind, outcome: DueOutcome) => void;
  /** Told at every look how many pieces are due and in nobody's hands. */
  overdue?: (pieces: number) => void;
  /** Pause between two looks where nothing is due, in ms. Default 200. */
  pollMs?: number;
  /** A piece belongs to whoever took it for so long, and longer while it is worked on, in ms. Default 10,000. */
  leaseMs?: number;
  /** What is to be different from the kinds' own policies. */
  policy?: Partial<DuePolicy>;
}

const DUE_KEYS = DUE_KINDS.map(dueKey);
/** How often each was taken: `kind:id`. */
const TRIES = 'calls:due-tries';

/** Pause after Redis failed, in ms. */
const RETRY_MS = 1000;
/** How long a stop waits for what is in hand, in ms. */
const STOP_WAIT_MS = 3000;

/**
 * Hands out what is due: nobody else gets it before the lease is over. Times are Redis', the same for all replicas.
 *
 * KEYS: tries, due of each kind
 * ARGV: lease in ms, then of each kind its name and how many at most
 * Returns how many more are due, then kind, id, tries, ...
 */
const CLAIM = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claimed = {0}
for i = 2, #KEYS do
  local kind, most = ARGV[i * 2 - 2], ARGV[i * 2 - 1]
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', 0, most)) do
    redis.call('ZADD', KEYS[i], now + ARGV[1], id)
    claimed[#claimed + 1] = kind
    claimed[#claimed + 1] = id
    claimed[#claimed + 1] = redis.call('HINCRBY', KEYS[1], kind .. ':' .. id, 1)
  end
  claimed[1] = claimed[1] + redis.call('ZCOUNT', KEYS[i], '-inf', now)
end
return claimed
`;

/**
 * Moves pieces of one kind that are still wanted: a lease that goes on, or the time of the next try.
 *
 * KEYS: due
 * ARGV: ms from now, then the ids
 */
const POSTPONE = `
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', at, ARGV[i]) end
return #ARGV - 1
`;

/**
 * Moves a piece that nobody has tried, where it is still wanted, and takes its try back.
 *
 * KEYS: due, tries
 * ARGV: ms from now, id, its name among the tries
 */
const PUT_BACK = `
if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[2], ARGV[3], -1)
return 1
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    claimDue(
      ...keysAndLimits: (string | number)[]
    ): Result<[overdue: number, ...claimed: (string | number)[]], Context>;
    postponeDue(due: string, ms: number, ...ids: string[]): Result<number, Context>;
    putBackDue(due: string, tries: string, ms: number, id: string, name: string): Result<number, Context>;
  }
}

/**
 * Work that is due at a time, held in Redis so that it survives a control plane. Any replica does it, one at a
 * time; where that one dies, another does it when the lease is over. What fails is tried again, as often as the policy
 * of its kind says.
 */
export class DueWork {
  readonly #o: Required<DueWorkOptions>;
  /** By kind and id. */
  readonly #inHand = new Map<DueKind, Map<string, Promise<void>>>(DUE_KINDS.map((kind) => [kind, new Map()]));
  #running: Promise<void> = Promise.resolve();
  #renewal: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Whether a hand is free since the last look. */
  #freed = false;
  /** Whether something that is due at once has been scheduled since the last look. */
  #added = false;
  /** Ends the pause before the next look. */
  #wake: (() => void) | undefined;

  constructor(options: DueWorkOptions) {
    this.#o = {
      tried: () => {},
      overdue: () => {},
      pollMs: 200,
      leaseMs: 10_000,
      policy: {},
      ...options,
    };
    const { redis } = options;
    redis.defineCommand('claimDue', { numberOfKeys: 1 + DUE_KINDS.length, lua: CLAIM });
    redis.defineCommand('postponeDue', { numberOfKeys: 1, lua: POSTPONE });
    redis.defineCommand('putBackDue', { numberOfKeys: 2, lua: PUT_BACK });
  }

  /** Has a piece done at this time. What is already scheduled stays as it is. */
  async schedule(kind: DueKind, id: string, atMs: number): Promise<void> {
    await this.apply([{ kind, id, atMs }]);
  }

  /** Has a piece done at this time, or at its own where that is earlier. */
  async hasten(kind: DueKind, id: string, atMs: number): Promise<void> {
    await this.#o.redis.zadd(dueKey(kind), 'LT', atMs, id);
  }

  /** Takes a piece back, unless somebody has begun with it. */
  async forget(kind: DueKind, id: string): Promise<void> {
    await this.apply([{ kind, id }]);
  }

  /** Schedules and takes back, in one round trip; what is both scheduled and taken back is taken back. */
  async apply(changes: readonly DueChange[]): Promise<void> {
    if (changes.length === 0) return;
    const pipeline = this.#o.redis.pipeline();
    for (const kind of DUE_KINDS) {
      const ours = changes.filter((change) => change.kind === kind);
      const wanted = ours.flatMap(({ id, atMs }) => (atMs === undefined ? [] : [atMs, id]));
      const unwanted = ours.flatMap(({ id, atMs }) => (atMs === undefined ? [id] : []));
      if (wanted.length > 0) pipeline.zadd(dueKey(kind), 'NX', ...wanted);
      if (unwanted.length === 0) continue;
      pipeline.zrem(dueKey(kind), ...unwanted).hdel(TRIES, ...unwanted.map((id) => `${kind}:${id}`));
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
    if (changes.some(({ atMs }) => atMs !== undefined && atMs <= Date.now())) {
      this.#added = true;
      this.#wake?.();
    }
  }

  start(): void {
    this.#running = this.#run();
    this.#renewal = setInterval(() => void this.#renew(), this.#o.leaseMs / 3);
  }

  /** Takes nothing more and waits for what is in hand, not for long: another replica does what is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#running;
    const waited = new AbortController();
    await Promise.race([
      Promise.all([...this.#inHand.values()].flatMap((pieces) => [...pieces.values()])),
      delay(STOP_WAIT_MS, undefined, { signal: waited.signal }).catch(() => {}),
    ]);
    waited.abort();
    clearInterval(this.#renewal);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#freed = false;
        this.#added = false;
        const overdue = await this.#claim();
        // Where more is due, the next piece is taken as soon as a hand is free.
        await this.#pause(this.#o.pollMs, overdue > 0);
      } catch (error) {
        this.#o.warn({ err: error }, 'due work not read: trying again');
        await this.#pause(RETRY_MS, false);
      }
    }
  }

  /** @returns how many pieces are due and in nobody's hands */
  async #claim(): Promise<number> {
    const rooms = DUE_KINDS.flatMap((kind) => [kind, this.#policy(kind).hands - this.#pieces(kind).size]);
    const [overdue, ...claimed] = await this.#o.redis.claimDue(TRIES, ...DUE_KEYS, this.#o.leaseMs, ...rooms);
    this.#o.overdue(overdue);
    for (let i = 0; i < claimed.length; i += 3) {
      const [kind, id, tries] = [claimed[i] as DueKind, String(claimed[i + 1]), Number(claimed[i + 2])];
      const pieces = this.#pieces(kind);
      const work = this.#do(kind, id, tries).finally(() => {
        pieces.delete(id);
        this.#freed = true;
        if (overdue > 0) this.#wake?.();
      });
      pieces.set(id, work);
    }
    return overdue;
  }

  #pieces(kind: DueKind): Map<string, Promise<void>> {
    return this.#inHand.get(kind) as Map<string, Promise<void>>;
  }

  #policy(kind: DueKind): DuePolicy {
    return { ...policyOf(kind), ...this.#o.policy };
  }

  /** Never rejects: where Redis does not take the outcome, the piece is done again when its lease is over. */
  async #do(kind: DueKind, id: string, tries: number): Promise<void> {
    const policy = this.#policy(kind);
    const error = await this.#try(kind, id, tries, policy.tries);
    try {
      if (error instanceof Unfinished && error.afterMs !== undefined) {
        await this.#o.redis.putBackDue(dueKey(kind), TRIES, error.afterMs, id, `${kind}:${id}`);
        return;
      }
      const outcome = error === undefined ? 'done' : tries >= policy.tries ? 'dropped' : 'failed';
      this.#o.tried(kind, outcome);
      if (outcome !== 'done' && !(error instanceof Unfinished)) {
        const message = outcome === 'dropped' ? 'due work given up' : 'due work failed: trying again';
        this.#o.warn({ err: error, work: kind, id, tries }, message);
      }
      if (outcome === 'failed') await this.#o.redis.postponeDue(dueKey(kind), pauseMs(policy, tries), id);
      else await this.forget(kind, id);
    } catch (error) {
      this.#o.warn({ err: error, work: kind, id }, 'the outcome of due work was not kept');
    }
  }

  /** @returns what went wrong */
  async #try(kind: DueKind, id: string, tries: number, most: number): Promise<unknown> {
    // Taken so often without an outcome: whoever takes it dies of it.
    if (tries > most) return new Error('no outcome of any try');
    try {
      await this.#o.handlers[kind](id, tries === most, tries);
      return undefined;
    } catch (error) {
      return error ?? new Error('failed');
    }
  }

  /** Keeps what is in hand from others. */
  async #renew(): Promise<void> {
    try {
      for (const [kind, pieces] of this.#inHand) {
        if (pieces.size > 0) await this.#o.redis.postponeDue(dueKey(kind), this.#o.leaseMs, ...pieces.keys());
      }
    } catch (error) {
      this.#o.warn({ err: error }, 'leases of due work not kept: it may be done twice');
    }
  }

  /** @param untilFree whether it ends with the next hand that is free */
  async #pause(ms: number, untilFree: boolean): Promise<void> {
    if (this.#stopped || this.#added || (untilFree && this.#freed)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}

/** How long to wait after so many tries, in whole ms. */
function pauseMs({ firstMs, largestMs, jitter }: DuePolicy, tries: number): number {
  const pause = Math.min(firstMs * 2 ** (tries - 1), largestMs);
  return Math.round(pause * (1 + jitter * (2 * Math.random() - 1)));
}
