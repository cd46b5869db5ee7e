import type { Redis, Result } from 'ioredis';
import { type Call, type CallState, stateOf } from './call.js';
import { callOfRecord } from './call-of-record.js';
import { INBOUND, MERGE, partiesKey } from './merge-script.js';
import { type Page, pageOfCalls } from './paging.js';
import { type RecordFields, recordFields } from './record.js';

const ALL = 'calls:all';
/** Redis' index of the calls that have not ended, by their creation. */
export const OPEN = 'calls:open';

/** Of one record: the places of the fields that were new, 1 for all, null where they are about another call of Retell's. */
type MergeResult = number[] | 1 | null;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    mergeCalls(keys: number, ...keysAndArguments: (string | number)[]): Result<MergeResult[], Context>;
  }
}

/** Fields to add to one call's record. */
export interface Merge {
  id: string;
  /** When it happened, in ms since 1970: sorts a call that is seen for the first time. */
  atMs: number;
  fields: RecordFields;
}

/** What a call is identified by, and what its state follows from: enough to tell whether it is the one that is meant. */
export type CallOutline = Pick<
  Call,
  | 'id'
  | 'direction'
  | 'number'
  | 'sip_call_id'
  | 'retell_call_id'
  | 'requested_by'
  | 'ringing_at'
  | 'answered_at'
  | 'ended_at'
>;

export interface CallFilter {
  state?: CallState | undefined;
  direction?: string | undefined;
  carrier?: string | undefined;
  number?: string | undefined;
}

/** Records read in one round trip. */
const READ_STEP = 200;
/** Records that one script merges: Redis does nothing else meanwhile, for a few ms. */
const MERGE_STEP = 50;

/** How many calls between the same two numbers one search looks at, the newest. */
const SEARCH_LIMIT = 100;

const OUTLINE_FIELDS = [
  'direction',
  'number',
  'sip_call_id',
  'retell_call_id',
  'requested_by',
  'ringing_at',
  'answered_at',
  'ended_at',
] as const;

/** The calls' records in Redis. Every method rejects when Redis does not answer in time. */
export class CallStore {
  readonly #redis: Redis;
  readonly #retentionS: number;

  /** @param retentionS how long an ended call's record is kept, in seconds */
  constructor(redis: Redis, retentionS: number) {
    this.#redis = redis;
    this.#retentionS = retentionS;
    redis.defineCommand('mergeCalls', { lua: MERGE });
  }

  /**
   * Adds fields to records, in one round trip. A field that a record already has is left alone.
   *
   * @returns for each merge the names of the fields that were new; undefined where nothing was added, as it names
   *   another call of Retell's than the record has
   */
  async merge(merges: readonly Merge[]): Promise<(string[] | undefined)[]> {
    const records = oneEach(merges);
    if (records.size === 0) return [];
    const pipeline = this.#redis.pipeline();
    const all = [...records];
    for (let at = 0; at < all.length; at += MERGE_STEP) {
      const some = all.slice(at, at + MERGE_STEP);
      const keys = [ALL, OPEN, ...some.map(([, { id }]) => recordKey(id))];
      const values = some.flatMap(([, { id, atMs, fields }]) => {
        const list = Object.entries(fields).flat();
        return [id, atMs, list.length / 2, ...list];
      });
      pipeline.mergeCalls(keys.length, ...keys, this.#retentionS, ...values);
    }
    const results: MergeResult[] = [];
    for (const [error, some] of (await pipeline.exec()) ?? []) {
      if (error) throw error;
      results.push(...(some as MergeResult[]));
    }
    const fresh = new Map(
      all.map(([subject, { fields }], i) => [subject, freshOf(fields, results[i] ?? null)]),
    );
    // A field that several merges of one record have is new with the first of them.
    return merges.map((merge) => {
      const names = fresh.get(subjectOf(merge));
      return names && Object.keys(merge.fields).filter((name) => names.delete(name));
    });
  }

  async get(id: string): Promise<Call | undefined> {
    return (await this.#read([id]))[0];
  }

  /** The calls with these ids, in their order; undefined for one that has no record. */
  async getAll(ids: readonly string[]): Promise<(Call | undefined)[]> {
    const calls: (Call | undefined)[] = [];
    for (let at = 0; at < ids.length; at += READ_STEP)
      calls.push(...(await this.#read(ids.slice(at, at + READ_STEP))));
    return calls;
  }

  /** Outlines of the calls with these ids, in their order, in one round trip; undefined for one that has none. */
  async outlines(ids: readonly string[]): Promise<(CallOutline | undefined)[]> {
    const pipeline = this.#redis.pipeline();
    for (const id of ids) pipeline.hmget(recordKey(id), ...OUTLINE_FIELDS);
    const results = (await pipeline.exec()) ?? [];
    return results.map(([error, values], i) => {
      if (error) throw error;
      return outlineOf(ids[i] as string, values as (string | null)[]);
    });
  }

  /** The id of the newest call with this SIP Call-ID. */
  async idOfSipCallId(sipCallId: string): Promise<string | undefined> {
    return (await this.#redis.get(`call-id:${sipCallId}`)) ?? undefined;
  }

  /** The newest call with each of these SIP Call-IDs; those without a record are left out. */
  async callsOfSipCallIds(sipCallIds: readonly string[]): Promise<Map<string, Call>> {
    const names = [...new Set(sipCallIds)];
    const ids = await this.#redis.mget(names.map((name) => `call-id:${name}`));
    const known = names.flatMap((name, i) => (ids[i] ? [[name, ids[i]] as const] : []));
    const calls = await this.getAll(known.map(([, id]) => id));
    return new Map(known.flatMap(([name], i) => (calls[i] ? [[name, calls[i]] as const] : [])));
  }

  /** The id of the call that Retell knows by this id. */
  async idOfRetellCallId(retellCallId: string): Promise<string | undefined> {
    return (await this.#redis.get(`retell-call:${retellCallId}`)) ?? undefined;
  }

  /** The ids of the calls that Retell knows by these ids, in their order. */
  async idsOfRetellCallIds(retellCallIds: readonly string[]): Promise<(string | undefined)[]> {
    if (retellCallIds.length === 0) return [];
    const ids = await this.#redis.mget(retellCallIds.map((id) => `retell-call:${id}`));
    return ids.map((id) => id ?? undefined);
  }

  /**
   * The calls between one of our numbers and another one that came in this time, the newest first.
   *
   * @param other as it is written, with or without `+`
   * @param fromMs, toMs ms since 1970
   */
  async between(number: string, other: string, fromMs: number, toMs: number): Promise<Call[]> {
    const key = partiesKey(number, other);
    const ids = await this.#redis.zrevrangebyscore(key, toMs, fromMs, 'LIMIT', 0, SEARCH_LIMIT);
    return (await this.getAll(ids)).filter((call): call is Call => call !== undefined);
  }

  /**
   * The inbound calls to our number that Retell had at a time about now.
   *
   * @param atMs ms since 1970
   * @returns undefined where there are more than `limit`
   */
  async inboundUpAt(number: string, atMs: number, limit: number): Promise<Call[] | undefined> {
    const ids = await this.#redis.zrangebyscore(`${INBOUND}${number}`, atMs, '+inf', 'LIMIT', 0, limit + 1);
    if (ids.length > limit) return undefined;
    const calls = await this.getAll(ids);
    return calls.filter((call): call is Call => call !== undefined && (call.answered_at ?? 0) <= atMs);
  }

  /**
   * A page of calls, newest first.
   *
   * @param cursor the `next_cursor` of the page before
   * @throws RangeError where the cursor is none of ours
   */
  async list(filter: CallFilter, limit: number, cursor?: string): Promise<Page<Call>> {
    const list = {
      index: filter.state === undefined || filter.state === 'ended' ? ALL : OPEN,
      order: 'newest_first',
      wanted: (call: Call) => matches(call, filter),
    } as const;
    return pageOfCalls(this.#redis, list, (ids) => this.#read(ids), limit, cursor);
  }

  /**
   * Takes a lock that ends by itself.
   *
   * @returns false where somebody else holds it
   */
  async lock(name: string, ttlMs: number): Promise<boolean> {
    return (await this.#redis.set(`lock:${name}`, '1', 'PX', ttlMs, 'NX')) === 'OK';
  }

  async unlock(name: string): Promise<void> {
    await this.#redis.del(`lock:${name}`);
  }

  /** Forgets the index entries of calls whose records have expired. */
  async trim(nowMs: number): Promise<void> {
    await this.#redis.zremrangebyscore(ALL, '-inf', nowMs - this.#retentionS * 1000);
  }

  async #read(ids: readonly string[]): Promise<(Call | undefined)[]> {
    const pipeline = this.#redis.pipeline();
    for (const id of ids) pipeline.hgetall(recordKey(id));
    const results = (await pipeline.exec()) ?? [];
    return results.map(([error, record], i) => {
      if (error) throw error;
      const fields = record as RecordFields;
      return Object.keys(fields).length === 0 ? undefined : callOfRecord(ids[i] as string, fields);
    });
  }
}

/** One merge for each record and call of Retell's, with what is first of each field. */
function oneEach(merges: readonly Merge[]): Map<string, Merge> {
  const records = new Map<string, Merge>();
  for (const merge of merges) {
    const subject = subjectOf(merge);
    const before = records.get(subject);
    records.set(
      subject,
      before === undefined ? merge : { ...before, fields: recordFields(merge.fields, before.fields) },
    );
  }
  return records;
}

/** The names of the fields that were new, by what the merge returned. */
function freshOf(fields: RecordFields, result: MergeResult): Set<string> | undefined {
  if (result === null) return undefined;
  const names = Object.keys(fields);
  return new Set(result === 1 ? names : result.map((place) => names[place - 1] as string));
}

/** What a merge is about: those of one record that name different calls of Retell's stay apart. */
function subjectOf({ id, fields }: Merge): string {
  return `${id} ${fields.retell_call_id ?? ''}`;
}

/** The key of a call's record, and the channel on which a change of it is told. */
export function recordKey(id: string): string {
  return `call:${id}`;
}

function outlineOf(id: string, values: readonly (string | null)[]): CallOutline | undefined {
  if (values.every((value) => value === null)) return undefined;
  const [direction, number, sipCallId, retellCallId, requestedBy, ...times] = values;
  const [ringingAt, answeredAt, endedAt] = times.map((time) => (time === null ? undefined : Number(time)));
  return {
    id,
    direction: direction === 'outbound' ? 'outbound' : 'inbound',
    number: number ?? undefined,
    sip_call_id: sipCallId ?? undefined,
    retell_call_id: retellCallId ?? undefined,
    requested_by: requestedBy ?? undefined,
    ringing_at: ringingAt,
    answered_at: answeredAt,
    ended_at: endedAt,
  };
}

function matches(call: Call, filter: CallFilter): boolean {
  return (
    (filter.state === undefined || stateOf(call) === filter.state) &&
    (filter.direction === undefined || call.direction === filter.direction) &&
    (filter.carrier === undefined || call.carrier === filter.carrier) &&
    (filter.number === undefined || call.number === filter.number)
  );
}
