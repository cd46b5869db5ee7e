import type { Redis } from 'ioredis';
import { callOfRecord } from '../call-of-record.js';
import { fieldsOf, openCalls } from '../open-records.js';
import { OPEN } from '../store.js';
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
    const open = await (filter.call_ids === undefined
      ? openCalls(this.#redis)
      : this.#openOf(filter.call_ids));
    const sorted = [...open].sort(([, a], [, b]) => a - b);
    const ids = sorted.map(([id]) => id);
    const values = await fieldsOf(this.#redis, ids, FIELDS);
    return sorted.flatMap(([id, createdAt], i) => {
      const call = callOfRecord(id, { ...recordOf(values[i] ?? []), created_at: String(createdAt) });
      return fits(call, filter, nowMs) ? [id] : [];
    });
  }

  /** Those of these calls that are open. */
  async #openOf(ids: readonly string[]): Promise<Map<string, number>> {
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
