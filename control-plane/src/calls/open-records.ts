import type { Redis } from 'ioredis';
import { isUnplaced } from './call.js';
import { OPEN, recordKey } from './store.js';

/** Records read in one round trip, behind which a scrape of the metrics may have to wait. */
const BATCH = 100;

const FIELDS = ['node', 'carrier', 'sip_call_id'] as const;
const REQUESTED_BY = 'requested_by';

/** What never changes of a call that is up by its record. A field that is not written yet is undefined. */
export interface OpenRecord {
  id: string;
  /** When it was first heard of, in ms since 1970. */
  sinceMs: number;
  node: string | undefined;
  carrier: string | undefined;
  sip_call_id: string | undefined;
  requested_by: string | undefined;
}

/** How many records may have a dialog: a call on its way has one or the other first. */
export interface RecordCount {
  /** Those that have been there for a while. */
  settled: number;
  all: number;
}

/**
 * Reads which calls are up by their records. It is read often and whole, so fields are asked for once, and
 * in batches: neither Redis nor the event loop is held for long.
 */
export class OpenRecords {
  readonly #redis: Redis;
  /** Names of nodes and carriers, each once: many records have the same. */
  readonly #names = new Map<string, string>();
  #known = new Map<string, OpenRecord>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Every call that is up all the while that this takes, and some of those that come or go. */
  async read(): Promise<OpenRecord[]> {
    const found = new Map<string, OpenRecord>();
    for (const [id, sinceMs] of await openCalls(this.#redis)) {
      const unread = {
        id,
        sinceMs,
        node: undefined,
        carrier: undefined,
        sip_call_id: undefined,
        requested_by: undefined,
      };
      found.set(id, this.#known.get(id) ?? unread);
    }
    await this.#complete([...found.values()].filter((record) => FIELDS.some((f) => record[f] === undefined)));
    this.#known = found;
    return [...found.values()];
  }

  /** Retell's ids of the calls, by ours, as far as they are known: secrets as long as the calls are up. */
  async retellCallIds(records: readonly OpenRecord[]): Promise<Map<string, string>> {
    const values = await fieldsOf(this.#redis, idsOf(records), ['retell_call_id']);
    const names = new Map<string, string>();
    for (const [i, [name]] of values.entries()) if (name) names.set((records[i] as OpenRecord).id, name);
    return names;
  }

  async #complete(records: readonly OpenRecord[]): Promise<void> {
    const values = await fieldsOf(this.#redis, idsOf(records), [...FIELDS, REQUESTED_BY]);
    for (const [i, [node, carrier, callId, requestedBy]] of values.entries()) {
      const record = records[i] as OpenRecord;
      record.node = this.#shared(node);
      record.carrier = this.#shared(carrier);
      record.sip_call_id = callId ?? undefined;
      record.requested_by = requestedBy ?? undefined;
    }
  }

  #shared(name: string | null | undefined): string | undefined {
    if (name === null || name === undefined) return undefined;
    const shared = this.#names.get(name) ?? name;
    this.#names.set(name, shared);
    return shared;
  }
}

function idsOf(records: readonly OpenRecord[]): string[] {
  return records.map(({ id }) => id);
}

/** Ids of the calls that are up, with when each was first heard of, in ms since 1970. A scan misses none of them. */
export async function openCalls(redis: Redis): Promise<Map<string, number>> {
  const open = new Map<string, number>();
  let cursor = '0';
  do {
    const [next, flat] = await redis.zscan(OPEN, cursor, 'COUNT', BATCH);
    for (let i = 0; i < flat.length; i += 2) open.set(flat[i] as string, Number(flat[i + 1]));
    cursor = next;
  } while (cursor !== '0');
  return open;
}

/** The values of these fields of the records of calls, call by call; null for one that is not there. */
export async function fieldsOf(
  redis: Redis,
  ids: readonly string[],
  fields: readonly string[],
): Promise<(string | null)[][]> {
  const values: (string | null)[][] = [];
  for (let at = 0; at < ids.length; at += BATCH) {
    const pipeline = redis.pipeline();
    for (const id of ids.slice(at, at + BATCH)) pipeline.hmget(recordKey(id), ...fields);
    for (const [error, found] of (await pipeline.exec()) ?? []) {
      if (error) throw error;
      values.push(found as (string | null)[]);
    }
  }
  return values;
}

/** Counts records; those that came within `settleMs` may have no dialog yet, and those without an INVITE have none. */
export function countOf(records: Iterable<OpenRecord>, settleMs: number): RecordCount {
  const settledBefore = Date.now() - settleMs;
  const count = { settled: 0, all: 0 };
  for (const record of records) {
    count.all += 1;
    if (record.sinceMs <= settledBefore && !isUnplaced(record)) count.settled += 1;
  }
  return count;
}

/** Calls that came a moment ago may have a dialog and no record yet: as many as this share of those that came lately. */
const ON_THEIR_WAY = 0.2;

/**
 * How far a count of dialogs is outside of what the records before and after it allow: 0 within what calls on
 * their way explain, negative where dialogs are missing.
 */
export function distance(dialogs: number, records: readonly RecordCount[]): number {
  const least = Math.min(...records.map(({ settled }) => settled));
  const most = Math.max(
    ...records.map(({ settled, all }) => all + Math.floor((all - settled) * ON_THEIR_WAY)),
  );
  return dialogs > most ? dialogs - most : dialogs < least ? dialogs - least : 0;
}
