import { hash } from 'node:crypto';
import type { Redis, Result } from 'ioredis';
import { type Call, stateOf } from './call.js';
import { type DetailRecord, detailRecordOf } from './detail-record.js';
import { ENDED } from './merge-script.js';
import { type CallList, type Page, pageOfCalls } from './paging.js';
import { PUBLIC_EVENTS, PUBLIC_EVENTS_KEPT, type PublicEventType } from './public-events.js';
import { type CallStore, recordKey } from './store.js';

/** Redis' stream of call detail records, for programs that follow them. */
export const DETAIL_RECORDS = 'calls:records';

/**
 * Writes calls' detail records into the stream, each where it is not what was written last, and tells of it. The digest
 * of what was written is kept with the call, so it is written once however often it is tried.
 *
 * KEYS: stream of detail records, stream of events, then the calls' records
 * ARGV: for each call id, digest, detail record, direction, carrier
 * Returns for each the version that was written, or 0.
 */
const WRITE = `
local function write(call, id, digest, record, direction, carrier)
  local known = redis.call('HMGET', call, 'ended_at', 'erased_at', 'detail_digest', 'detail_version', 'detail_entries')
  if not known[1] or known[2] or known[3] == digest then return 0 end
  local version = (tonumber(known[4]) or 0) + 1
  local entry = redis.call('XADD', KEYS[1], '*', 'id', id, 'version', version, 'record', record)
  local entries = (known[5] and known[5] .. ' ' or '') .. entry
  redis.call('HSET', call, 'detail_digest', digest, 'detail_version', version, 'detail_entries', entries)
  local type = version == 1 and '${'record.created' satisfies PublicEventType}' or '${'record.amended' satisfies PublicEventType}'
  redis.call('XADD', KEYS[2], '*', 'type', type, 'call', id, 'direction', direction, 'carrier', carrier)
  return version
end

local versions = {}
for i = 3, #KEYS do versions[i - 2] = write(KEYS[i], unpack(ARGV, i * 5 - 14, i * 5 - 10)) end
redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ${PUBLIC_EVENTS_KEPT})
return versions
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    writeDetailRecords(keys: number, ...keysAndArguments: string[]): Result<number[], Context>;
  }
}

/** Told of a detail record that was written: version 1 is the first of a call, more is an amendment. */
export type DetailRecordObserver = (version: number, record: DetailRecord, call: Call) => void;

export interface DetailRecordFilter {
  /** Ended at this time or later, in ms since 1970. */
  fromMs?: number | undefined;
  /** Ended before this time. */
  toMs?: number | undefined;
  direction?: string | undefined;
  carrier?: string | undefined;
  number?: string | undefined;
  ended_by?: string | undefined;
}

/** How many are read at once where all are wanted. */
const STEP = 200;

/** The calls that have ended, one detail record each. Every method rejects when Redis does not answer in time. */
export class DetailRecords {
  readonly #redis: Redis;
  readonly #store: CallStore;
  readonly #retentionS: number;

  /** @param retentionS how long the stream keeps them, in seconds */
  constructor(redis: Redis, store: CallStore, retentionS: number) {
    this.#redis = redis;
    this.#store = store;
    this.#retentionS = retentionS;
    redis.defineCommand('writeDetailRecords', { lua: WRITE });
  }

  /**
   * Writes the detail records of calls that have ended, as far as anything has come since they were written last. Redis
   * does nothing else meanwhile, so they are to be few.
   *
   * @param written told of each that was written, by its version: 1 for the first of a call, more for amendments
   */
  async write(ids: readonly string[], written: DetailRecordObserver): Promise<void> {
    const ended: [record: DetailRecord, call: Call][] = [];
    const keys = [DETAIL_RECORDS, PUBLIC_EVENTS];
    const values: string[] = [];
    for (const call of await this.#store.getAll(ids)) {
      if (call === undefined || stateOf(call) !== 'ended') continue;
      const record = detailRecordOf(call);
      ended.push([record, call]);
      const text = JSON.stringify(record);
      const digest = hash('sha256', text, 'base64url').slice(0, 22);
      keys.push(recordKey(call.id));
      values.push(call.id, digest, text, call.direction, call.carrier ?? '');
    }
    if (ended.length === 0) return;
    const versions = await this.#redis.writeDetailRecords(keys.length, ...keys, ...values);
    for (const [i, version] of versions.entries()) {
      if (version > 0) written(version, ...(ended[i] as (typeof ended)[number]));
    }
  }

  /**
   * A page of ended calls, in the order of their ends.
   *
   * @param cursor the `next_cursor` of the page before
   * @throws RangeError where the cursor is none of ours
   */
  async page(filter: DetailRecordFilter, limit: number, cursor?: string): Promise<Page<DetailRecord>> {
    const { fromMs, toMs } = filter;
    const list: CallList = {
      index: ENDED,
      order: 'oldest_first',
      fromMs,
      toMs,
      wanted: (call) => matches(call, filter),
    };
    const read = (ids: string[]) => this.#store.getAll(ids);
    const { items, next_cursor } = await pageOfCalls(this.#redis, list, read, limit, cursor);
    return { items: items.map(detailRecordOf), next_cursor };
  }

  /** All of them, one after the other: what is not taken is not read. */
  async *all(filter: DetailRecordFilter): AsyncGenerator<DetailRecord> {
    let cursor: string | undefined;
    do {
      const page = await this.page(filter, STEP, cursor);
      yield* page.items;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** Forgets those that are too old. */
  async trim(nowMs: number): Promise<void> {
    const oldest = nowMs - this.#retentionS * 1000;
    await Promise.all([
      this.#redis.xtrim(DETAIL_RECORDS, 'MINID', oldest),
      this.#redis.zremrangebyscore(ENDED, '-inf', oldest),
    ]);
  }
}

function matches(call: Call, filter: DetailRecordFilter): boolean {
  return (['direction', 'carrier', 'number', 'ended_by'] as const).every(
    (name) => filter[name] === undefined || call[name] === filter[name],
  );
}
