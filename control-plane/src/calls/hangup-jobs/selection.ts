import type { Redis } from 'ioredis';
import { callOfRecord } from '../record.js';
import { OPEN, recordKey } from '../store.js';
import { type FilteredCall, fits, type HangupFilter } from './filter.js';

/** Records that are read in one round trip. */
const BATCH = 500;

/** What of a record a filter needs; the timeline, which is most of it, stays in Redis. The index has the creation. */
const FIELDS = [
  'carrier',
  'number',
  'agent_id',
  'node',
  'direction',
  'ringing_at',
  'answered_at',
  'ended_at',
] as const satisfies (keyof FilteredCall)[];

/** Finds the open calls that fit a filter, by their records. */
export class HangupSelection {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Ids of the open calls that fit, oldest first.
   *
   * @throws where Redis does not answer
   */
  async select(filter: HangupFilter, nowMs: number): Promise<string[]> {
    const open = await (filter.call_ids === undefined ? this.#all() : this.#of(filter.call_ids));
    const sorted = [...open].sort(([, a], [, b]) => a - b);
    const selected: string[] = [];
    for (let at = 0; at < sorted.length; at += BATCH) {
      const batch = sorted.slice(at, at + BATCH);
      const pipeline = this.#redis.pipeline();
      for (const [id] of batch) pipeline.hmget(recordKey(id), ...FIELDS);
      for (const [i, [error, values]] of ((await pipeline.exec()) ?? []).entries()) {
        if (error) throw error;
        const [id, createdAt] = batch[i] as [string, number];
        const call = callOfRecord(id, recordOf(values as (string | null)[]));
        if (fits({ ...call, created_at: createdAt }, filter, nowMs)) selected.push(id);
      }
    }
    return selected;
  }

  /** All open calls, with the time by which they are sorted. A scan may give one twice, and misses none. */
  async #all(): Promise<Map<string, number>> {
    const open = new Map<string, number>();
    let cursor = '0';
    do {
      const [next, flat] = await this.#redis.zscan(OPEN, cursor, 'COUNT', BATCH);
      for (let i = 0; i < flat.length; i += 2) open.set(flat[i] as string, Number(flat[i + 1]));
      cursor = next;
    } while (cursor !== '0');
    return open;
  }

  /** Those of these calls that are open. */
  async #of(ids: readonly string[]): Promise<Map<string, number>> {
    const open = new Map<string, number>();
    for (let at = 0; at < ids.length; at += BATCH) {
      const batch = ids.slice(at, at + BATCH);
      const pipeline = this.#redis.pipeline();
      for (const id of batch) pipeline.zscore(OPEN, id);
      for (const [i, [error, score]] of ((await pipeline.exec()) ?? []).entries()) {
        if (error) throw error;
        if (score !== null) open.set(batch[i] as string, Number(score));
      }
    }
    return open;
  }
}

function recordOf(values: readonly (string | null)[]): Record<string, string> {
  const entries = FIELDS.map((field, i) => [field, values[i]] as const);
  return Object.fromEntries(
    entries.filter((entry): entry is [(typeof FIELDS)[number], string] => !!entry[1]),
  );
}
