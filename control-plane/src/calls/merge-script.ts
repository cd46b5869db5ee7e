import {
  CALL_EVENT_FIELDS,
  PUBLIC_EVENTS,
  PUBLIC_EVENTS_KEPT,
  TRANSFER_EVENT_FIELDS,
} from './public-events.js';

/** Redis' index of the calls that have ended, by their end. */
export const ENDED = 'calls:ended';
/** Redis' list of detail records to write, by the time when they are due. */
export const DETAIL_RECORDS_DUE = 'calls:records:due';
/**
 * News of an ended call within so many ms lead to one writing of its detail record, which is due as long after them:
 * its BYEs are answered then, and Retell's first word of its end has come. What comes once that has begun is another
 * piece of work, so nothing is missed.
 */
const RECORD_SETTLE_MS = 3000;
/** The same of amendments, which are less urgent. */
const AMENDMENT_SETTLE_MS = 15_000;

/** Prefix of the index of the calls to one of our numbers that Retell has answered, by their end. */
export const INBOUND = 'calls:inbound:';
/** Prefix of the index of the calls between one of our numbers and another one, by their creation. */
export const BETWEEN = 'calls:between:';
/** How long it is kept after the last of them, in s: Retell tells of a call later than that by its id. */
const BETWEEN_KEPT_S = 3600;
/** How long an ended call stays in the index of its number: events of two calls may be handled in another order. */
const INBOUND_KEPT_MS = 60_000;

/**
 * Adds fields to a call's record, each only where it is not there yet, and in the same step does all that has to follow
 * from them, so that a crash loses none of it:
 * - The indices change with the record's first fields, its names and its end. An inbound call that Retell has answered
 *   is in its number's index for a minute longer than it is up.
 * - What others want to hear of goes into the stream of events.
 * - An ended call's detail record becomes due, again with what comes late.
 * Nothing is added to a record whose data was erased, or what tells of another call of Retell's than the record's.
 *
 * KEYS: record, all calls (by creation), open calls (by creation)
 * ARGV: id, retention in seconds, time in ms for the index, then field, value, ...
 * Returns the fields that were new, or false where they are about another call of Retell's.
 */
export const MERGE = `
local call_events = ${luaTable(CALL_EVENT_FIELDS)}
local transfer_events = ${luaTable(TRANSFER_EVENT_FIELDS)}
if #ARGV < 4 or redis.call('HEXISTS', KEYS[1], 'erased_at') == 1 then return {} end
local names = {}
for i = 4, #ARGV, 2 do names[#names + 1] = ARGV[i] end
local known = redis.call('HMGET', KEYS[1], unpack(names))
local fresh = {}
local added = {}
for i, name in ipairs(names) do
  if not known[i] then
    fresh[#fresh + 1] = name
    added[#added + 1] = name
    added[#added + 1] = ARGV[2 * i + 3]
  elseif name == 'retell_call_id' and known[i] ~= ARGV[2 * i + 3] then
    return false
  end
end
if #fresh == 0 then return fresh end
redis.call('HSET', KEYS[1], unpack(added))
local indexed = redis.call('HLEN', KEYS[1]) == #fresh
local answered = false
local parties = false
for _, field in ipairs(fresh) do
  if field == 'sip_call_id' or field == 'retell_call_id' or field == 'ended_at' then indexed = true end
  if field == 'number' then parties = true end
  if field == 'number' or field == 'answered_at' or field == 'fell_back' or field == 'ended_at' then answered = true end
end
if indexed then
  redis.call('ZADD', KEYS[2], 'NX', ARGV[3], ARGV[1])
  local now = redis.call('HMGET', KEYS[1], 'sip_call_id', 'retell_call_id', 'ended_at')
  local keys = {}
  if now[1] then keys[1] = 'call-id:' .. now[1] end
  if now[2] then keys[#keys + 1] = 'retell-call:' .. now[2] end
  if now[3] then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('ZADD', '${ENDED}', 'NX', now[3], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    for _, key in ipairs(keys) do redis.call('SET', key, ARGV[1], 'EX', ARGV[2]) end
  else
    redis.call('ZADD', KEYS[3], 'NX', ARGV[3], ARGV[1])
    for _, key in ipairs(keys) do redis.call('SET', key, ARGV[1]) end
  end
end
if parties then
  local call = redis.call('HMGET', KEYS[1], 'direction', 'number', 'from', 'to')
  local other = string.gsub((call[1] == 'outbound' and call[4] or call[3]) or '', '%D', '')
  if other ~= '' then
    local key = '${BETWEEN}' .. call[2] .. ':' .. other
    redis.call('ZADD', key, 'NX', ARGV[3], ARGV[1])
    redis.call('EXPIRE', key, ${BETWEEN_KEPT_S})
  end
end
if answered then
  local call = redis.call('HMGET', KEYS[1], 'direction', 'number', 'answered_at', 'fell_back', 'ended_at')
  if call[1] == 'inbound' and call[2] and call[3] then
    local key = '${INBOUND}' .. call[2]
    if call[4] then redis.call('ZREM', key, ARGV[1]) else redis.call('ZADD', key, call[5] or '+inf', ARGV[1]) end
    if call[5] then redis.call('ZREMRANGEBYSCORE', key, '-inf', call[5] - ${INBOUND_KEPT_MS}) end
    redis.call('EXPIRE', key, ARGV[2])
  end
end
local subject = nil
for _, field in ipairs(fresh) do
  local type = call_events[field]
  local transfer = nil
  if not type then
    local id, stage = string.match(field, '^transfer:(.+):(%l+)$')
    if id then type, transfer = transfer_events[stage], id end
  end
  if type then
    subject = subject or redis.call('HMGET', KEYS[1], 'direction', 'carrier')
    local entry = {'type', type, 'call', ARGV[1]}
    if subject[1] then entry[5], entry[6] = 'direction', subject[1] end
    if subject[2] then entry[#entry + 1], entry[#entry + 2] = 'carrier', subject[2] end
    if transfer then entry[#entry + 1], entry[#entry + 2] = 'transfer', transfer end
    redis.call('XADD', '${PUBLIC_EVENTS}', 'MAXLEN', '~', ${PUBLIC_EVENTS_KEPT}, '*', unpack(entry))
  end
end
if redis.call('HEXISTS', KEYS[1], 'ended_at') == 1 then
  local time = redis.call('TIME')
  local settle = ${RECORD_SETTLE_MS}
  if redis.call('HEXISTS', KEYS[1], 'detail_version') == 1 then settle = ${AMENDMENT_SETTLE_MS} end
  local span = math.floor((time[1] * 1000 + time[2] / 1000) / settle)
  local due = (span + 2) * settle
  redis.call('ZADD', '${DETAIL_RECORDS_DUE}', 'NX', due, ARGV[1] .. '/' .. string.format('%d', span))
end
redis.call('PUBLISH', KEYS[1], table.concat(fresh, ' '))
return fresh
`;

/** The index of the calls between one of our numbers and another one: as text, whose digits count. */
export function partiesKey(number: string, other: string): string {
  return `${BETWEEN}${number}:${other.replace(/\D/g, '')}`;
}

/** A table of Lua. */
function luaTable(entries: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(entries).map(([key, value]) => `['${key}'] = '${value}'`);
  return `{${pairs.join(', ')}}`;
}
