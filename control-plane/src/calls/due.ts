import { setTimeout as delay } from 'node:timers/promises';
import type { Redis, Result } from 'ioredis';

/** Work that is due at a time, by what has to be done. */
export const DUE_KINDS = ['max_duration', 'missing_bye', 'retell_lingers', 'dialog_lingers'] as const;
export type DueKind = (typeof DUE_KINDS)[number];

/** One piece of work for a call; without a time it is not wanted any more. */
export interface DueChange {
  kind: DueKind;
  /** The call's id. */
  id: string;
  /** When it is due, in ms since 1970. */
  atMs?: number;
}

/** How a try ended: `dropped` where it was the last one. */
export type DueOutcome = 'done' | 'failed' | 'dropped';

export interface DueWorkOptions {
  /** A connection for commands that fail where Redis is away. */
  redis: Redis;
  /** Do the work; they may be called again for the same piece, and reject where it has to be tried again. */
  handlers: Record<DueKind, (id: string) => Promise<void>>;
  /** Told of trouble. */
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Told of every try. */
  tried?: (kind: DueKind | 'unknown', outcome: DueOutcome) => void;
  /** Told at every look how many pieces are due and in nobody's hands. */
  overdue?: (pieces: number) => void;
  /** Pause between two looks where nothing is due, in ms. Default 200. */
  pollMs?: number;
  /** A piece belongs to whoever took it for so long, and longer while it is worked on, in ms. Default 10,000. */
  leaseMs?: number;
  /** Pause after the first failure, doubled with each further one, at most a minute, in ms. Default 1,000. */
  backoffMs?: number;
}

/** What is due, by time: members are `kind:id`. */
const DUE = 'calls:due';
/** How often each was taken. */
const TRIES = 'calls:due:tries';

/** Pieces in hand at once. */
const CONCURRENCY = 20;
const MAX_TRIES = 10;
const MAX_BACKOFF_MS = 60_000;
/** Pause after Redis failed, in ms. */
const RETRY_MS = 1000;
/** How long a stop waits for what is in hand, in ms. */
const STOP_WAIT_MS = 3000;

/**
 * Hands out what is due: nobody else gets it before the lease is over. Times are Redis', the same for all replicas.
 *
 * KEYS: due, tries
 * ARGV: how many at most, lease in ms
 * Returns how many more are due, then member, tries, ...
 */
const CLAIM = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
local claimed = {0}
for _, member in ipairs(members) do
  redis.call('ZADD', KEYS[1], now + ARGV[2], member)
  claimed[#claimed + 1] = member
  claimed[#claimed + 1] = redis.call('HINCRBY', KEYS[2], member, 1)
end
claimed[1] = redis.call('ZCOUNT', KEYS[1], '-inf', now)
return claimed
`;

/**
 * Moves pieces that are still wanted: a lease that goes on, or the time of the next try.
 *
 * KEYS: due
 * ARGV: ms from now, then the members
 */
const POSTPONE = `
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', at, ARGV[i]) end
return #ARGV - 1
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    claimDue(
      due: string,
      tries: string,
      most: number,
      leaseMs: number,
    ): Result<[overdue: number, ...claimed: (string | number)[]], Context>;
    postponeDue(due: string, ms: number, ...members: string[]): Result<number, Context>;
  }
}

/**
 * Work that is due at a time, held in Redis so that it survives a control plane. Any replica does it, one at a
 * time; where that one dies, another does it when the lease is over. What fails is tried again, at most ten times.
 */
export class DueWork {
  readonly #o: Required<DueWorkOptions>;
  readonly #stopping = new AbortController();
  readonly #inHand = new Map<string, Promise<void>>();
  #running: Promise<void> = Promise.resolve();
  #renewal: NodeJS.Timeout | undefined;
  /** Ends the wait for a free hand. */
  #wake: (() => void) | undefined;

  constructor(options: DueWorkOptions) {
    this.#o = {
      tried: () => {},
      overdue: () => {},
      pollMs: 200,
      leaseMs: 10_000,
      backoffMs: 1000,
      ...options,
    };
    const { redis } = options;
    redis.defineCommand('claimDue', { numberOfKeys: 2, lua: CLAIM });
    redis.defineCommand('postponeDue', { numberOfKeys: 1, lua: POSTPONE });
  }

  /** Has a piece done at this time. What is already scheduled stays as it is. */
  async schedule(kind: DueKind, id: string, atMs: number): Promise<void> {
    await this.apply([{ kind, id, atMs }]);
  }

  /** Takes a piece back, unless somebody has begun with it. */
  async forget(kind: DueKind, id: string): Promise<void> {
    await this.apply([{ kind, id }]);
  }

  /** Schedules and takes back, in one round trip; what is both scheduled and taken back is taken back. */
  async apply(changes: readonly DueChange[]): Promise<void> {
    const wanted = changes.flatMap(({ kind, id, atMs }) =>
      atMs === undefined ? [] : [atMs, `${kind}:${id}`],
    );
    const unwanted = changes.flatMap(({ kind, id, atMs }) => (atMs === undefined ? [`${kind}:${id}`] : []));
    if (changes.length === 0) return;
    const pipeline = this.#o.redis.pipeline();
    if (wanted.length > 0) pipeline.zadd(DUE, 'NX', ...wanted);
    if (unwanted.length > 0) pipeline.zrem(DUE, ...unwanted).hdel(TRIES, ...unwanted);
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }

  start(): void {
    this.#running = this.#run();
    this.#renewal = setInterval(() => void this.#renew(), this.#o.leaseMs / 3);
  }

  /** Takes nothing more and waits for what is in hand, not for long: another replica does what is left. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake?.();
    const waited = new AbortController();
    await this.#running;
    await Promise.race([
      Promise.all(this.#inHand.values()),
      delay(STOP_WAIT_MS, undefined, { signal: waited.signal }).catch(() => {}),
    ]);
    waited.abort();
    clearInterval(this.#renewal);
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const room = CONCURRENCY - this.#inHand.size;
      try {
        const full = room === 0 || (await this.#claim(room)) === room;
        // Where there is more, the next one is taken as soon as a hand is free.
        if (full) await this.#handFree();
        else await this.#pause(this.#o.pollMs);
      } catch (error) {
        this.#o.warn({ err: error }, 'due work not read: trying again');
        await this.#pause(RETRY_MS);
      }
    }
  }

  /** @returns how many pieces it took */
  async #claim(most: number): Promise<number> {
    const [overdue, ...claimed] = await this.#o.redis.claimDue(DUE, TRIES, most, this.#o.leaseMs);
    this.#o.overdue(overdue);
    for (let i = 0; i < claimed.length; i += 2) {
      const member = String(claimed[i]);
      const work = this.#do(member, Number(claimed[i + 1])).finally(() => {
        this.#inHand.delete(member);
        this.#wake?.();
      });
      this.#inHand.set(member, work);
    }
    return claimed.length / 2;
  }

  /** Never rejects: where Redis does not take the outcome, the piece is done again when its lease is over. */
  async #do(member: string, tries: number): Promise<void> {
    const colon = member.indexOf(':');
    const id = member.slice(colon + 1);
    const kind = DUE_KINDS.find((known) => known === member.slice(0, colon));
    try {
      const error = await this.#try(kind, id, tries);
      if (error === undefined) {
        this.#o.tried(kind ?? 'unknown', 'done');
        await this.#remove(member);
      } else if (tries >= MAX_TRIES) {
        this.#o.tried(kind ?? 'unknown', 'dropped');
        this.#o.warn({ err: error, work: kind, call_id: id, tries }, 'due work given up');
        await this.#remove(member);
      } else {
        this.#o.tried(kind ?? 'unknown', 'failed');
        this.#o.warn({ err: error, work: kind, call_id: id, tries }, 'due work failed: trying again');
        const backoffMs = Math.min(this.#o.backoffMs * 2 ** (tries - 1), MAX_BACKOFF_MS);
        await this.#o.redis.postponeDue(DUE, backoffMs, member);
      }
    } catch (error) {
      this.#o.warn({ err: error, work: kind, call_id: id }, 'the outcome of due work was not kept');
    }
  }

  /** @returns what went wrong */
  async #try(kind: DueKind | undefined, id: string, tries: number): Promise<unknown> {
    // Another replica may run a newer version, which knows it.
    if (kind === undefined) return new Error('no such kind of work');
    // Taken so often without an outcome: whoever takes it dies of it.
    if (tries > MAX_TRIES) return new Error('no outcome of any try');
    try {
      await this.#o.handlers[kind](id);
      return undefined;
    } catch (error) {
      return error ?? new Error('failed');
    }
  }

  async #remove(member: string): Promise<void> {
    const results = await this.#o.redis.pipeline().zrem(DUE, member).hdel(TRIES, member).exec();
    for (const [error] of results ?? []) if (error) throw error;
  }

  /** Keeps what is in hand from others. */
  async #renew(): Promise<void> {
    if (this.#inHand.size === 0) return;
    try {
      await this.#o.redis.postponeDue(DUE, this.#o.leaseMs, ...this.#inHand.keys());
    } catch (error) {
      this.#o.warn({ err: error }, 'leases of due work not kept: it may be done twice');
    }
  }

  async #handFree(): Promise<void> {
    if (this.#inHand.size < CONCURRENCY || this.#stopping.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }
}
