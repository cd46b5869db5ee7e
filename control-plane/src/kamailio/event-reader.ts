import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { SipEvent } from './events.js';
import { EventFormatError, parseEvents } from './parse-events.js';

/** The consumer group that all replicas of the control plane share. */
export const GROUP = 'control-plane';
/** Batches that cannot be read are kept here for a human to look at, the newest of them. */
const UNREADABLE = 'sip:events:unreadable';
const UNREADABLE_LENGTH = 1000;

export interface EventReaderOptions {
  /** A connection of the reader's own: blocking reads hold it. */
  redis: Redis;
  /** Names of the Kamailio nodes whose events are read. */
  nodes: readonly string[];
  /** This replica's name in the consumer group. */
  consumer: string;
  /** Handles the events of one node; rejects where they have to be handled again. */
  handle: (node: string, events: SipEvent[]) => Promise<void>;
  /** Told of trouble that the reader deals with itself. */
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Told of batches that cannot be read. */
  unreadable: () => void;
  /** A batch that another consumer took and did not acknowledge for so long is taken over, in ms. Default 5,000. */
  claimAfterMs?: number;
  /** Most batches in one read. Default 100. */
  count?: number;
}

type StreamEntry = [id: string, fields: string[] | null];

/** The longest that one read blocks, in ms. */
const BLOCK_MS = 500;
const RETRY_MS = 200;
/** How long a stop waits for Redis, in ms. */
const STOP_WAIT_MS = 2000;

/**
 * Reads the call events from Redis Streams as one consumer of a group. An entry is acknowledged after its
 * events are written, never before: a crash in between makes another consumer handle it again.
 */
export class EventReader {
  readonly #o: Required<EventReaderOptions>;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #nextClaim = 0;

  constructor(options: EventReaderOptions) {
    this.#o = { claimAfterMs: 5000, count: 100, ...options };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Stops after the batch in hand, or where Redis does not answer, after a short wait. */
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
        await this.#read();
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        await this.#recover(error);
      }
    }
  }

  /** Redis may have lost its data, and the groups with it: they are made again, from the beginning. */
  async #recover(error: unknown): Promise<void> {
    if (error instanceof Error && error.message.startsWith('NOGROUP')) {
      await this.#createGroups().catch((cause) =>
        this.#o.warn({ err: cause }, 'consumer groups not created'),
      );
      return;
    }
    this.#o.warn({ err: error }, 'call events not read: trying again');
    await this.#pause();
  }

  async #createGroups(): Promise<void> {
    for (const node of this.#o.nodes) {
      try {
        await this.#o.redis.xgroup('CREATE', streamOf(node), GROUP, '0', 'MKSTREAM');
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('BUSYGROUP'))) throw error;
      }
    }
  }

  async #read(): Promise<void> {
    const { redis, nodes, consumer, count } = this.#o;
    const streams = nodes.map(streamOf);
    const reply = (await redis.xreadgroup(
      'GROUP',
      GROUP,
      consumer,
      'COUNT',
      count,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      ...streams,
      ...streams.map(() => '>'),
    )) as [stream: string, entries: StreamEntry[]][] | null;
    for (const [stream, entries] of reply ?? []) await this.#handle(stream, entries);
  }

  /**
   * Takes over what consumers that are gone have left unacknowledged. The first time that is everything: who starts
   * may have been killed a moment ago, and what another replica has in hand may be handled twice.
   */
  async #claim(): Promise<void> {
    const { redis, nodes, consumer, count } = this.#o;
    const claimAfterMs = this.#nextClaim === 0 ? 0 : this.#o.claimAfterMs;
    for (const stream of nodes.map(streamOf)) {
      let start = '0-0';
      do {
        const [next, entries] = (await redis.xautoclaim(
          stream,
          GROUP,
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

  async #handle(stream: string, entries: readonly StreamEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const events: SipEvent[] = [];
    for (const [, fields] of entries) events.push(...(await this.#parse(stream, fields)));
    await this.#write(nodeOf(stream), events);
    await this.#o.redis.xack(stream, GROUP, ...entries.map(([id]) => id));
  }

  /** An entry that cannot be read is put aside and counted: it must not stop those behind it. */
  async #parse(stream: string, fields: string[] | null): Promise<SipEvent[]> {
    const batch = fields?.[1];
    // A trimmed entry comes back from a claim without fields.
    if (batch === undefined) return [];
    try {
      return parseEvents(batch);
    } catch (error) {
      if (!(error instanceof EventFormatError)) throw error;
      this.#o.unreadable();
      this.#o.warn({ stream, err: error }, `a batch of events is unreadable and was put into ${UNREADABLE}`);
      await this.#o.redis.xadd(
        UNREADABLE,
        'MAXLEN',
        '~',
        UNREADABLE_LENGTH,
        '*',
        'stream',
        stream,
        'events',
        batch,
      );
      return [];
    }
  }

  /** Tries until Redis has taken the writes, or the reader is stopped: nothing is acknowledged unwritten. */
  async #write(node: string, events: SipEvent[]): Promise<void> {
    for (;;) {
      try {
        return await this.#o.handle(node, events);
      } catch (error) {
        if (this.#abort.signal.aborted) throw error;
        this.#o.warn({ err: error, events: events.length }, 'call events not written: trying again');
        await this.#pause();
      }
    }
  }

  async #pause(): Promise<void> {
    await delay(RETRY_MS, undefined, { signal: this.#abort.signal }).catch(() => {});
  }
}

export function streamOf(node: string): string {
  return `sip:events:${node}`;
}

function nodeOf(stream: string): string {
  return stream.slice('sip:events:'.length);
}
