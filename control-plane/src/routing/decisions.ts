import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { createGroups, GROUP, isNoGroup } from '../stream-consumer.js';
import { type DecisionQuestion, parseQuestion, QuestionFormatError } from './decision-question.js';
import type { DecisionNode, DecisionObserver, Register } from './register.js';

export interface DecisionsOptions {
  /** A connection of its own: blocking reads hold it. */
  redis: Redis;
  /** The Kamailio nodes whose questions are read, by name. */
  nodes: ReadonlyMap<string, DecisionNode>;
  /** This replica's name in the consumer group. */
  consumer: string;
  register: Pick<Register, 'settle' | 'turnAway'>;
  observer: Pick<DecisionObserver, 'decided'>;
  /** Told of trouble that is dealt with here. */
  warn: (detail: Record<string, unknown>, message: string) => void;
  /** Most questions in hand; those beyond take their fallback at once. Default 1,000. */
  maxInHand?: number;
  /** Most questions in one read. Default 100. */
  count?: number;
}

/** The longest that one read blocks, and a stop waits for it, in ms. */
const BLOCK_MS = 100;
const RETRY_MS = 200;
/** How long a stop waits for what is in hand, and again after it was given up, in ms. */
const STOP_WAIT_MS = 2000;

/**
 * Reads the questions of INVITEs that wait from Redis Streams and has each settled, all at the same time: a
 * slow answer of Retell holds up no other call. A question counts as acknowledged when it is read: by the time
 * that another replica could take it over, its caller has gone to the fallback.
 */
export class Decisions {
  readonly #o: Required<DecisionsOptions>;
  readonly #stopping = new AbortController();
  readonly #givingUp = new AbortController();
  readonly #inHand = new Map<string, Promise<void>>();
  #running: Promise<void> | undefined;

  constructor(options: DecisionsOptions) {
    this.#o = { maxInHand: 1000, count: 100, ...options };
  }

  /** Questions that are not settled yet. */
  get inHand(): number {
    return this.#inHand.size;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Takes no more questions, and sends those to their fallback that are not settled after a short wait. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#settled();
    this.#givingUp.abort();
    await this.#settled();
  }

  async #settled(): Promise<void> {
    const waited = new AbortController();
    await Promise.race([
      Promise.all([this.#running, ...this.#inHand.values()]),
      delay(STOP_WAIT_MS, undefined, { signal: waited.signal }).catch(() => {}),
    ]);
    waited.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#read();
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        await this.#recover(error);
      }
    }
  }

  /** Redis may have lost its data, and the groups with it: they are made again. What is old is not answered. */
  async #recover(error: unknown): Promise<void> {
    try {
      if (isNoGroup(error)) return await createGroups(this.#o.redis, [...this.#o.nodes.keys()].map(streamOf));
      throw error;
    } catch (err) {
      this.#o.warn({ err }, 'decisions not read: trying again');
      await delay(RETRY_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
    }
  }

  async #read(): Promise<void> {
    const { redis, nodes, consumer, count } = this.#o;
    const names = [...nodes.keys()];
    const reply = (await redis.xreadgroup(
      'GROUP',
      GROUP,
      consumer,
      'COUNT',
      count,
      'BLOCK',
      BLOCK_MS,
      'NOACK',
      'STREAMS',
      ...names.map(streamOf),
      ...names.map(() => '>'),
    )) as [stream: string, entries: [id: string, fields: string[]][]][] | null;
    const turnedAway: Promise<void>[] = [];
    for (const [stream, entries] of reply ?? []) {
      const node = nodes.get(stream.slice(PREFIX.length));
      if (node === undefined) continue;
      for (const [, fields] of entries) {
        const question = this.#parse(stream, fields[1] ?? '');
        if (question !== undefined) this.#take(node, question, turnedAway);
      }
    }
    // Turning away takes time too: no more are read meanwhile, and what gets old in the stream is not answered.
    await Promise.all(turnedAway);
  }

  #parse(stream: string, text: string): DecisionQuestion | undefined {
    try {
      return parseQuestion(text);
    } catch (error) {
      if (!(error instanceof QuestionFormatError)) throw error;
      this.#o.observer.decided('unreadable', 0);
      this.#o.warn({ stream, detail: error.message }, 'a decision is unreadable');
      return undefined;
    }
  }

  #take(node: DecisionNode, question: DecisionQuestion, turnedAway: Promise<void>[]): void {
    const { register, maxInHand, observer } = this.#o;
    if (this.#inHand.has(question.id)) {
      observer.decided('duplicate', (Date.now() - question.atMs) / 1000);
    } else if (this.#inHand.size >= maxInHand) {
      turnedAway.push(register.turnAway(node, question));
    } else {
      const settled = register
        .settle(node, question, this.#givingUp.signal)
        .finally(() => this.#inHand.delete(question.id));
      this.#inHand.set(question.id, settled);
    }
  }
}

const PREFIX = 'sip:decisions:';

/** The key of a node's stream of questions. */
export function streamOf(node: string): string {
  return PREFIX + node;
}
