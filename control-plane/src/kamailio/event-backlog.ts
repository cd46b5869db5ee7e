import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { GROUP } from '../stream-consumer.js';
import { BEFORE_ALL, groupInfo, isEarlier, streamInfo, writtenAt } from '../stream-entries.js';
import { streamOf } from './event-reader.js';
import type { KamailioNode } from './node.js';

/**
 * How long Kamailio's events are kept once they are in the records, in s: other programs that read them may be restarted
 * meanwhile. They are half of what a call leaves in Redis.
 */
export const RAW_EVENTS_KEPT_S = 120;

/** An event that Kamailio has not counted yet is in Redis within this time, in ms, or Redis is away. */
const IN_HAND_MS = 1000;
const POLL_MS = 100;
/** Longest wait, in ms. A batch that a dead replica took is taken over after half of that. */
const DEADLINE_MS = 10_000;

/** Tells whether the records know all that a node has told, so that what they do not say has never been told. */
export class EventBacklog {
  readonly #redis: Redis;
  readonly #deadlineMs: number;

  /**
   * @param redis a connection for commands that somebody waits for
   * @param deadlineMs longest wait, in ms. Default 10,000
   */
  constructor(redis: Redis, deadlineMs = DEADLINE_MS) {
    this.#redis = redis;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Waits until every event that the node has had so far is in the records, whichever replica writes it.
   *
   * @param signal gives the wait up
   * @returns false where they are not in time
   * @throws KamailioError, or where Redis does not answer
   */
  async written(node: KamailioNode, signal?: AbortSignal): Promise<boolean> {
    const until = Date.now() + this.#deadlineMs;
    while ((await node.queuedEvents()) > 0) {
      if (Date.now() > until) return false;
      await pause(POLL_MS, signal);
    }
    return this.#recorded(node.name, until, signal);
  }

  /**
   * The same without asking the node, for one that does not answer: every event that it has in Redis is in the records.
   *
   * @param node its name
   * @returns false where they are not in time
   * @throws where Redis does not answer
   */
  recorded(node: string): Promise<boolean> {
    return this.#recorded(node, Date.now() + this.#deadlineMs);
  }

  /**
   * Forgets what a node told before a time, as far as it is in the records.
   *
   * @param beforeMs ms since 1970
   */
  async trim(node: string, beforeMs: number): Promise<void> {
    const group = await this.#group(node);
    if (group === undefined) return;
    const [count, oldest] = await this.#pending(node);
    const handled = count === 0 ? deliveredTo(group) : oldest;
    await this.#redis.xtrim(streamOf(node), 'MINID', Math.floor(Math.min(beforeMs, writtenAt(handled))));
  }

  async #recorded(node: string, until: number, signal?: AbortSignal): Promise<boolean> {
    await pause(IN_HAND_MS, signal);
    const last = await this.#lastEntry(node);
    while (!(await this.#handledUpTo(node, last))) {
      if (Date.now() > until) return false;
      await pause(POLL_MS, signal);
    }
    return true;
  }

  /** The newest entry that the node's stream ever had. */
  async #lastEntry(node: string): Promise<string> {
    const info = await streamInfo(this.#redis, streamOf(node));
    return String(info?.get('last-generated-id') ?? BEFORE_ALL);
  }

  async #handledUpTo(node: string, last: string): Promise<boolean> {
    if (!isEarlier(BEFORE_ALL, last)) return true;
    const group = await this.#group(node);
    if (group === undefined || isEarlier(deliveredTo(group), last)) return false;
    const [count, oldest] = await this.#pending(node);
    return count === 0 || isEarlier(last, oldest);
  }

  /** The consumer group that writes the records. */
  async #group(node: string): Promise<Map<string, unknown> | undefined> {
    return groupInfo(this.#redis, streamOf(node), GROUP);
  }

  /** How many entries are in hand, and the oldest of them. */
  async #pending(node: string): Promise<[count: number, oldest: string]> {
    const [count, oldest] = (await this.#redis.xpending(streamOf(node), GROUP)) as [number, string | null];
    return [count, oldest ?? BEFORE_ALL];
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return delay(ms, undefined, signal && { signal });
}

/** The last entry that was given out. */
function deliveredTo(group: ReadonlyMap<string, unknown>): string {
  return String(group.get('last-delivered-id') ?? BEFORE_ALL);
}
