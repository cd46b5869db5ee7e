import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';

/** The consumer group that all replicas of the control plane share. */
export const GROUP = 'control-plane';

/** One entry of a stream; without fields where it was trimmed meanwhile. */
export type StreamEntry = [id: string, fields: string[] | null];

export interface StreamConsumerOptions {
  /** A connection of the consumer's own: blocking reads hold it. */
  redis: Redis;
  /** Keys of the streams. */
  streams: readonly string[];
  /** This replica's name in the consumer group. */
  consumer: string;
  /** What the streams hold, for messages. */
  what: string;
  /** The consumer group. Default `GROUP`. */
  group?: string;
  /** Handles entries of one stream; rejects where they have to be handled again. */
  handle: (stream: string, entries: readonly StreamEntry[]) => Promise<void>;
  /** Told of trouble that the consumer deals with itself. */
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Whether entries are deleted once they are handled. Default false. */
  deleteHandled?: boolean;
  /** An entry that another consumer took and did not acknowledge for so long is taken over, in ms. Default 5,000. */
  claimAfterMs?: number;
  /** Most entries in one read. Default 100. */
  count?: number;
  /** Told how many entries a read brought; says how long the next one waits, in ms, so that it brings more. Default 0. */
  restMs?: (entries: number) => number;
  /**
   * Reads whose entries are in hand at once where there is a backlog: the later ones are handled while the earlier ones
   * wait for Redis, as another replica would. Default 1: one read after the other.
   */
  readsInHand?: number;
}

/**
 * Makes the group of each stream that has none.
 *
 * @param from where it begins: `0` for all that is in the stream, `$` for what comes
 */
export async function createGroups(
  redis: Redis,
  streams: readonly string[],
  group: string = GROUP,
  from: '0' | '$' = '0',
): Promise<void> {
  for (const stream of streams) {
    try {
      await redis.xgroup('CREATE', stream, group, from, 'MKSTREAM');
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('BUSYGROUP'))) throw error;
    }
  }
}

/** Whether a read failed because a stream has no group yet. */
export function isNoGroup(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOGROUP');
}

/** The longest that one read blocks, and a stop waits for it, in ms. */
const BLOCK_MS = 100;
const RETRY_MS = 200;
/** How long a stop waits for Redis, in ms. */
const STOP_WAIT_MS = 2000;

/**
 * Reads Redis Streams as one consumer of a group. An entry is acknowledged after it is handled, never before: a crash
 * in between makes another consumer handle it again.
 */
export class StreamConsumer {
  readonly #o: Required<StreamConsumerOptions>;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #nextClaim = 0;

  constructor(options: StreamConsumerOptions) {
    this.#o = {
      group: GROUP,
      deleteHandled: false,
      claimAfterMs: 5000,
      count: 100,
      restMs: () => 0,
      readsInHand: 1,
      ...options,
    };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Stops after the entries in hand, or where Redis does not answer, after a short wait. */
  async stop(): Promise<void> {
    this.#abort.abort();
    const waited = new AbortController();
    await Promise.race([
      this.#running,
      delay(STOP_WAIT_MS, undefined, { signal: waited.signal }).catch(() => {}),
    ]);
    waited.abort();
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        if (Date.now() >= this.#nextClaim) await this.#claim();
        await this.#catchUp();
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        await this.#recover(error);
      }
    }
  }

  /** Redis may have lost its data, and the groups with it: they are made again, from the beginning. */
  async #recover(error: unknown): Promise<void> {
    if (isNoGroup(error)) {
      await createGroups(this.#o.redis, this.#o.streams, this.#o.group).catch((cause) =>
        this.#o.warn({ err: cause }, 'consumer groups not created'),
      );
      return;
    }
    this.#o.warn({ err: error }, `${this.#o.what} not read: trying again`);
    await this.#pause(RETRY_MS);
  }

  /** Reads and handles, on and on while there is a backlog: each read brought all that it might. */
  async #catchUp(): Promise<void> {
    const { restMs, readsInHand, count } = this.#o;
    const inHand: Promise<void>[] = [];
    let goesOn = true;
    try {
      while (goesOn) {
        const read = await this.#read();
        const entries = read.reduce((sum, [, { length }]) => sum + length, 0);
        const handled = this.#handleAll(read);
        // Its failure is told of where it is awaited.
        handled.catch(() => {});
        inHand.push(handled);
        goesOn = entries >= count && Date.now() < this.#nextClaim && !this.#abort.signal.aborted;
        while (inHand.length >= (goesOn ? readsInHand : 1)) await inHand.shift();
        const rest = restMs(entries);
        if (rest > 0) await this.#pause(rest);
      }
    } finally {
      await Promise.allSettled(inHand);
    }
  }

  async #read(): Promise<[stream: string, entries: StreamEntry[]][]> {
    const { redis, streams, group, consumer, count } = this.#o;
    const reply = await redis.xreadgroup(
      'GROUP',
      group,
      consumer,
      'COUNT',
      count,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      ...streams,
      ...streams.map(() => '>'),
    );
    return (reply ?? []) as [string, StreamEntry[]][];
  }

  async #handleAll(read: readonly [stream: string, entries: StreamEntry[]][]): Promise<void> {
    for (const [stream, entries] of read) await this.#handle(stream, entries);
  }

  /**
   * Takes over what consumers that are gone have left unacknowledged. The first time that is everything: who starts
   * may have been killed a moment ago, and what another replica has in hand may be handled twice.
   */
  async #claim(): Promise<void> {
    const { redis, streams, group, consumer, count } = this.#o;
    const claimAfterMs = this.#nextClaim === 0 ? 0 : this.#o.claimAfterMs;
    for (const stream of streams) {
      let start = '0-0';
      do {
        const [next, entries] = (await redis.xautoclaim(
          stream,
          group,
          consumer,
          claimAfterMs,
          start,
          'COUNT',
          count,
        )) as [string, StreamEntry[]];
        await this.#handle(stream, entries);
        start = next;
      } while (start !== '0-0' && !this.#abort.signal.aborted);
    }
    this.#nextClaim = Date.now() + this.#o.claimAfterMs;
  }

  /** Tries until the entries are handled, or the consumer is stopped: nothing is acknowledged before. */
  async #handle(stream: string, entries: readonly StreamEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const { redis, group, what, warn, handle, deleteHandled } = this.#o;
    for (;;) {
      try {
        await handle(stream, entries);
        break;
      } catch (error) {
        if (this.#abort.signal.aborted) throw error;
        warn({ err: error, entries: entries.length }, `${what} not written: trying again`);
        await this.#pause(RETRY_MS);
      }
    }
    const ids = entries.map(([id]) => id);
    if (!deleteHandled) {
      await redis.xack(stream, group, ...ids);
      return;
    }
    // In one step: what is acknowledged and not deleted nobody would delete any more.
    for (const [error] of (await redis
      .multi()
      .xack(stream, group, ...ids)
      .xdel(stream, ...ids)
      .exec()) ?? []) {
      if (error) throw error;
    }
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#abort.signal }).catch(() => {});
  }
}
