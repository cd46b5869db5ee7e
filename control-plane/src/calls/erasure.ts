import type { Redis, Result } from 'ioredis';
import { DETAIL_RECORDS } from './detail-records.js';
import { BETWEEN } from './merge-script.js';
import { PUBLIC_EVENTS, PUBLIC_EVENTS_KEPT, type PublicEventType } from './public-events.js';
import { recordKey } from './store.js';

/** What is left of a record: when, by which way and how it ended, and nothing that leads to a person. */
const KEPT = [
  ...['direction', 'carrier', 'gateway', 'node', 'number', 'created_at', 'ringing_at', 'answered_at'],
  ...['max_duration_s', 'ended_at', 'ended_by', 'sip_status', 'reason', 'retell_ended_at'],
  ...['retell_disconnection_reason', 'erased_at'],
] as const;

/**
 * Erases an ended call's data, in one step: its record but for what is kept, the names that it is found by, and its
 * detail records in their stream, where an entry without a record tells of it.
 *
 * KEYS: the call's record, stream of detail records, stream of events
 * ARGV: id, time in ms, the fields that are kept
 * Returns 'none' where there is no record, 'up' where the call has not ended, or 'erased'.
 */
const ERASE = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 'none' end
if redis.call('HEXISTS', KEYS[1], 'ended_at') == 0 then return 'up' end
if redis.call('HEXISTS', KEYS[1], 'erased_at') == 1 then return 'erased' end
local names = redis.call('HMGET', KEYS[1], 'sip_call_id', 'retell_call_id', 'detail_entries', 'direction', 'carrier',
  'number', 'from', 'to')
if names[1] and redis.call('GET', 'call-id:' .. names[1]) == ARGV[1] then redis.call('DEL', 'call-id:' .. names[1]) end
if names[2] then redis.call('DEL', 'retell-call:' .. names[2]) end
local other = string.gsub((names[4] == 'outbound' and names[8] or names[7]) or '', '%D', '')
if names[6] then redis.call('ZREM', '${BETWEEN}' .. names[6] .. ':' .. other, ARGV[1]) end
for entry in string.gmatch(names[3] or '', '%S+') do redis.call('XDEL', KEYS[2], entry) end
redis.call('HSET', KEYS[1], 'erased_at', ARGV[2])
local kept = {}
for i = 3, #ARGV do kept[ARGV[i]] = true end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not kept[field] then redis.call('HDEL', KEYS[1], field) end
end
redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'erased_at', ARGV[2])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ${PUBLIC_EVENTS_KEPT}, '*', 'type', '${'record.erased' satisfies PublicEventType}',
  'call', ARGV[1], 'direction', names[4] or '', 'carrier', names[5] or '')
return 'erased'
`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    eraseCall(
      record: string,
      detailRecords: string,
      events: string,
      id: string,
      atMs: number,
      ...kept: string[]
    ): Result<'none' | 'up' | 'erased', Context>;
  }
}

/** Erases what leads from calls to persons. */
export class Erasure {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.defineCommand('eraseCall', { numberOfKeys: 3, lua: ERASE });
  }

  /** @returns `none` where there is no such call, `up` where it has not ended yet */
  erase(id: string): Promise<'none' | 'up' | 'erased'> {
    return this.#redis.eraseCall(recordKey(id), DETAIL_RECORDS, PUBLIC_EVENTS, id, Date.now(), ...KEPT);
  }
}
