import { createHash } from 'node:crypto';
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
 * Writes a call's detail record into the stream, where it is not what was written last, and tells of it. The digest of
 * what was written is kept with the call, so it is written once however often it is tried.
 *
 * KEYS: the call's record, stream of detail records, stream of events
 * ARGV: id, digest, detail record, direction, carrier
 * Returns the version that was written, or 0.
 */
const WRITE = `
if redis.call('HEXISTS', KEYS[1], 'ended_at') == 0 or redis.call('HEXISTS', KEYS[1], 'erased_at') == 1 then return 0 end
if redis.call('HGET', KEYS[1], 'detail_digest') == ARGV[2] then return 0 end
local version = redis.call('HINCRBY', KEYS[1], 'detail_version', 1)
local entry = redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'version', version, 'record', ARGV[3])
local entries = redis.call('HGET', KEYS[1], 'detail_entries')
redis.call('HSET', KEYS[1], 'detail_digest', ARGV[2], 'detail_entries', (entries and entries .. ' ' or '') .. entry)
local type = version == 1 and '${'record.created' satisfies PublicEventType}' or '${'record.amended' satisfies PublicEventType}'
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ${PUBLIC_EVENTS_KEPT}, '*', 'type', type, 'call', ARGV[1],
  'direction', ARGV[4], 'carrier', ARGV[5])
return version
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    writeDetailRecord(
      record: string,
      stream: string,
      events: string,
      id: string,
      digest: string,
      detailRecord: string,
      direction: string,
      carrier: string,
    ): Result<number, Context>;
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
    redis.defineCommand('writeDetailRecord', { numberOfKeys: 3, lua: WRITE });
  }

  /**
   * Writes the detail records of calls that have ended, as far as anything has come since they were written last.
   *
   * @param written told of each that was written, by its version: 1 for the first of a call, more for amendments
   * @throws where one could not be written, once it has told of the others
   */
  async write(ids: readonly string[], written: DetailRecordObserver): Promise<void> {
    const pipeline = this.#redis.pipeline();
    const ended: [record: DetailRecord, call: Call][] = [];
    for (const call of await this.#store.getAll(ids)) {
      if (call === undefined || stateOf(call) !== 'ended') continue;
      const record = detailRecordOf(call);
      ended.push([record, call]);
      const text = JSON.stringify(record);
      const digest = createHash('sha256').update(text).digest('base64url').slice(0, 22);
      pipeline.writeDetailRecord(
        recordKey(call.id),
        DETAIL_RECORDS,
        PUBLIC_EVENTS,
        call.id,
        digest,
        text,
        call.direction,
        call.carrier ?? '',
      );
    }
    let failure: Error | undefined;
    for (const [i, [error, version]] of ((await pipeline.exec()) ?? []).entries()) {
      if (error) failure ??= error;
      else if ((version as number) > 0) written(version as number, ...(ended[i] as (typeof ended)[number]));
    }
    if (failure !== undefined) throw failure;
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
