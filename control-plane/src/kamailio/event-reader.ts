import type { Redis } from 'ioredis';
import { StreamConsumer, type StreamEntry } from '../stream-consumer.js';
import type { SipEvent } from './events.js';
import { Gathering } from './gathering.js';
import { EventFormatError, parseEvents } from './parse-events.js';

/** Batches that cannot be read are kept here for a human to look at, the newest of them. */
const UNREADABLE = 'sip:events:unreadable';
const UNREADABLE_LENGTH = 1000;
/**
 * Where events are behind: with two reads Redis has nothing to do while the next is asked for and taken apart, as it
 * answers that question behind what the first has it write.
 */
const READS_IN_HAND = 5;

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
  /** Most batches in one read. Default 10: what Kamailio sends in one window of `Gathering`, every 10 ms. */
  count?: number;
}

/** Reads the call events from Redis Streams. A batch is acknowledged after its events are written, never before. */
export class EventReader {
  readonly #o: EventReaderOptions;
  readonly #consumer: StreamConsumer;
  /** Batches that were put aside: their entries may be handled again. */
  readonly #setAside = new Set<string>();
  readonly #gathering = new Gathering();
  /** Events of the last read. */
  #read = 0;

  constructor(options: EventReaderOptions) {
    const { redis, nodes, consumer, warn, claimAfterMs, count = 10 } = options;
    this.#o = options;
    this.#consumer = new StreamConsumer({
      redis,
      streams: nodes.map(streamOf),
      consumer,
      what: 'call events',
      handle: (stream, entries) => this.#handle(stream, entries),
      warn,
      count,
      restMs: (batches) => this.#restMs(batches < count),
      readsInHand: READS_IN_HAND,
      ...(claimAfterMs === undefined ? {} : { claimAfterMs }),
    });
  }

  start(): void {
    this.#consumer.start();
  }

  stop(): Promise<void> {
    return this.#consumer.stop();
  }

  async #handle(stream: string, entries: readonly StreamEntry[]): Promise<void> {
    const events: SipEvent[] = [];
    for (const entry of entries) events.push(...(await this.#parse(stream, entry)));
    await this.#o.handle(nodeOf(stream), events);
    for (const [id] of entries) this.#setAside.delete(`${stream} ${id}`);
    this.#read += events.length;
  }

  /** @param all whether the last read has left nothing: a backlog does not wait */
  #restMs(all: boolean): number {
    const rest = this.#gathering.restMs(this.#read, performance.now());
    this.#read = 0;
    return all ? rest : 0;
  }

  /** An entry that cannot be read is put aside and counted: it must not stop those behind it. */
  async #parse(stream: string, [id, fields]: StreamEntry): Promise<SipEvent[]> {
    const batch = fields?.[1];
    // A trimmed entry comes back from a claim without fields.
    if (batch === undefined) return [];
    try {
      return parseEvents(batch);
    } catch (error) {
      if (!(error instanceof EventFormatError)) throw error;
      await this.#putAside(stream, id, batch, error);
      return [];
    }
  }

  async #putAside(stream: string, id: string, batch: string, error: EventFormatError): Promise<void> {
    const name = `${stream} ${id}`;
    if (this.#setAside.has(name)) return;
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
    this.#setAside.add(name);
  }
}

export function streamOf(node: string): string {
  return `sip:events:${node}`;
}

function nodeOf(stream: string): string {
  return stream.slice('sip:events:'.length);
}
