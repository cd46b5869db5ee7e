import type { Redis, Result } from 'ioredis';
import { type Call, type CallState, stateOf } from './call.js';
import { callOfRecord } from './call-of-record.js';
import { INBOUND, MERGE, partiesKey } from './merge-script.js';
import { type Page, pageOfCalls } from './paging.js';
import type { RecordFields } from './record.js';

/** Redis' index of all calls, by their creation. */
export const ALL = 'calls:all';
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
    const records = [...bySubject(merges).values()];
    if (records.length === 0) return [];
    const pipeline = this.#redis.pipeline();
    for (let at = 0; at < records.length; at += MERGE_STEP) {
      const keys = [ALL, OPEN];
      const values: (string | number)[] = [this.#retentionS];
      for (const { id, atMs, names, texts } of records.slice(at, at + MERGE_STEP)) {
        keys.push(recordKey(id));
        values.push(id, atMs, names.length);
        for (let i = 0; i < names.length; i += 1) values.push(names[i] as string, texts[i] as string);
      }
      pipeline.mergeCalls(keys.length, ...keys, ...values);
    }
    const results: MergeResult[] = [];
    for (const [error, some] of (await pipeline.exec()) ?? []) {
      if (error) throw error;
      results.push(...(some as MergeResult[]));
    }
    const fresh: (string[] | undefined)[] = merges.map(() => undefined);
    for (const [i, record] of records.entries()) {
      for (const [merge, names] of freshOf(record, results[i] ?? null)) fresh[merge] = names;
    }
    return fresh;
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

/** What several merges add to one record. */
interface RecordMerge {
  id: string;
  atMs: number;
  /** Names of the fields, each once, and their values. */
  names: string[];
  texts: string[];
  /** Places of the merges among all, and where the names end that each was the first to have. */
  merges: [place: number, end: number][];
}

/** The merges of each record and call of Retell's, with what is first of each field. */
function bySubject(merges: readonly Merge[]): Map<string, RecordMerge> {
  const records = new Map<string, RecordMerge>();
  for (const [place, merge] of merges.entries()) {
    const subject = subjectOf(merge);
    let record = records.get(subject);
    if (record === undefined) {
      record = { id: merge.id, atMs: merge.atMs, names: [], texts: [], merges: [] };
      records.set(subject, record);
    }
    const { names, texts } = record;
    const isFirst = names.length === 0;
    for (const name in merge.fields) {
      if (!isFirst && names.includes(name)) continue;
      names.push(name);
      texts.push(merge.fields[name] as string);
    }
    record.merges.push([place, names.length]);
  }
  return records;
}

/** Of each merge of a record its place and the names of the fields that were new, by what the script returned. */
function* freshOf({ names, merges }: RecordMerge, result: MergeResult) {
  if (result === null) return;
  let begin = 0;
  for (const [place, end] of merges) {
    const own = result === 1 ? names.slice(begin, end) : namesAt(names, result, begin, end);
    yield [place, own] as const;
    begin = end;
  }
}

/** The names at some of the places from 1 on, as far as they are between these two. */
function namesAt(names: readonly string[], places: readonly number[], begin: number, end: number): string[] {
  return places.filter((place) => place > begin && place <= end).map((place) => names[place - 1] as string);
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
