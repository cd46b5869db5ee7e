import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { GROUP } from '../stream-consumer.js';
import { streamOf } from './event-reader.js';
import type { KamailioNode } from './node.js';

/** A batch that has left Kamailio's queue is in Redis within this time, in ms, or Redis is away. */
const IN_HAND_MS = 1000;
const POLL_MS = 100;
/** Longest wait, in ms. A batch that a dead replica took is taken over after half of that. */
const DEADLINE_MS = 10_000;

/** Id of a stream's entry: ms since 1970, and a number among those of one ms. */
type EntryId = readonly [ms: number, n: number];

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
    const pause = (ms: number) => delay(ms, undefined, signal && { signal });
    while ((await node.queuedEvents()) > 0) {
      if (Date.now() > until) return false;
      await pause(POLL_MS);
    }
    await pause(IN_HAND_MS);
    const last = await this.#lastEntry(node.name);
    while (!(await this.#handledUpTo(node.name, last))) {
      if (Date.now() > until) return false;
      await pause(POLL_MS);
    }
    return true;
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
    const handled = count === 0 ? parseId(group.get('last-delivered-id')) : parseId(oldest);
    await this.#redis.xtrim(streamOf(node), 'MINID', Math.floor(Math.min(beforeMs, handled[0])));
  }

  /** The newest entry that the node's stream ever had. */
  async #lastEntry(node: string): Promise<EntryId> {
    const info = await this.#info('STREAM', node);
    return parseId(info === undefined ? undefined : fieldsOf(info).get('last-generated-id'));
  }

  async #handledUpTo(node: string, last: EntryId): Promise<boolean> {
    if (!isBefore([0, 0], last)) return true;
    const group = await this.#group(node);
    if (group === undefined || isBefore(parseId(group.get('last-delivered-id')), last)) return false;
    const [count, oldest] = await this.#pending(node);
    return count === 0 || isBefore(last, parseId(oldest));
  }

  /** The consumer group that writes the records. */
  async #group(node: string): Promise<Map<string, unknown> | undefined> {
    const groups = (await this.#info('GROUPS', node)) ?? [];
    return groups.map((entry) => fieldsOf(entry as unknown[])).find((g) => g.get('name') === GROUP);
  }

  /** How many entries are in hand, and the oldest of them. */
  async #pending(node: string): Promise<[count: number, oldest: string | null]> {
    return (await this.#redis.xpending(streamOf(node), GROUP)) as [number, string | null];
  }

  /** A stream that nothing was written to yet is not there. */
  async #info(kind: 'STREAM' | 'GROUPS', node: string): Promise<unknown[] | undefined> {
    try {
      return (await this.#redis.xinfo(kind as 'STREAM', streamOf(node))) as unknown[];
    } catch (error) {
      if (error instanceof Error && error.message.includes('no such key')) return undefined;
      throw error;
    }
  }
}

/** Redis' list of names and values, one after the other. */
function fieldsOf(list: readonly unknown[]): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (let i = 0; i < list.length; i += 2) fields.set(String(list[i]), list[i + 1]);
  return fields;
}

function parseId(id: unknown): EntryId {
  const [ms = 0, n = 0] = String(id ?? '0-0')
    .split('-')
    .map(Number);
  return [ms, n];
}

function isBefore(a: EntryId, b: EntryId): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}
