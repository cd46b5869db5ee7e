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
 * Adds fields to calls' records, each only where it is not there yet, and in the same step does all that has to follow
 * from them, so that a crash loses none of it:
 * - The indices change with the record's first fields, its names and its end. An inbound call that Retell has answered
 *   is in its number's index for a minute longer than it is up.
 * - What others want to hear of goes into the stream of events.
 * - An ended call's detail record becomes due, again with what comes late.
 * Nothing is added to a record whose data was erased, or what tells of another call of Retell's than the record's.
 *
 * KEYS: all calls (by creation), open calls (by creation), then the records
 * ARGV: retention in seconds, then for each record: id, time in ms for the index, how many fields, and field, value, ...
 * Returns for each record the places of the fields that were new, from 1 on; 1 in place of all of them; or false where
 * they are about another call of Retell's.
 */
export const MERGE = `
local call_events = ${luaTable(CALL_EVENT_FIELDS)}
local transfer_events = ${luaTable(TRANSFER_EVENT_FIELDS)}
local asked = {'erased_at', 'ended_at', 'detail_version', 'sip_call_id', 'retell_call_id', 'direction', 'number', 'from',
  'to', 'carrier', 'answered_at', 'fell_back'}
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000

local function merge(record, id, at_ms, place, count)
  local names = {}
  for i = 1, count do names[i] = ARGV[place + 2 * i - 2] end
  for i, name in ipairs(asked) do names[count + i] = name end
  local values = redis.call('HMGET', record, unpack(names))
  local call = {}
  for i, name in ipairs(asked) do call[name] = values[count + i] or nil end
  if call.erased_at then return {} end
  local fresh = {}
  local is_fresh = {}
  local added = {}
  for i = 1, count do
    local name, value = names[i], ARGV[place + 2 * i - 1]
    if not values[i] then
      fresh[#fresh + 1] = i
      is_fresh[name] = true
      added[#added + 1] = name
      added[#added + 1] = value
      call[name] = value
    elseif name == 'retell_call_id' and values[i] ~= value then
      return false
    end
  end
  if #fresh == 0 then return fresh end

  local first = redis.call('HSET', record, unpack(added)) == redis.call('HLEN', record)
  if first then redis.call('ZADD', KEYS[1], 'NX', at_ms, id) end
  if first or is_fresh.sip_call_id or is_fresh.retell_call_id or is_fresh.ended_at then
    local keys = {}
    if call.sip_call_id then keys[1] = 'call-id:' .. call.sip_call_id end
    if call.retell_call_id then keys[#keys + 1] = 'retell-call:' .. call.retell_call_id end
    if call.ended_at then
      redis.call('ZREM', KEYS[2], id)
      redis.call('ZADD', '${ENDED}', 'NX', call.ended_at, id)
      redis.call('EXPIRE', record, ARGV[1])
      for _, key in ipairs(keys) do redis.call('SET', key, id, 'EX', ARGV[1]) end
    else
      if first then redis.call('ZADD', KEYS[2], 'NX', at_ms, id) end
      for _, key in ipairs(keys) do redis.call('SET', key, id) end
    end
  end
  if is_fresh.number then
    local other = string.gsub((call.direction == 'outbound' and call.to or call.from) or '', '%D', '')
    if other ~= '' then
      local key = '${BETWEEN}' .. call.number .. ':' .. other
      redis.call('ZADD', key, 'NX', at_ms, id)
      redis.call('EXPIRE', key, ${BETWEEN_KEPT_S})
    end
  end
  if call.direction == 'inbound' and call.number and call.answered_at and
      (is_fresh.number or is_fresh.answered_at or is_fresh.fell_back or is_fresh.ended_at) then
    local key = '${INBOUND}' .. call.number
    if call.fell_back then redis.call('ZREM', key, id) else redis.call('ZADD', key, call.ended_at or '+inf', id) end
    if call.ended_at then redis.call('ZREMRANGEBYSCORE', key, '-inf', call.ended_at - ${INBOUND_KEPT_MS}) end
    redis.call('EXPIRE', key, ARGV[1])
  end
  for _, i in ipairs(fresh) do
    local field = names[i]
    local type = call_events[field]
    local transfer = nil
    if not type then
      local name, stage = string.match(field, '^transfer:(.+):(%l+)$')
      if name then type, transfer = transfer_events[stage], name end
    end
    if type then
      local entry = {'type', type, 'call', id}
      if call.direction then entry[5], entry[6] = 'direction', call.direction end
      if call.carrier then entry[#entry + 1], entry[#entry + 2] = 'carrier', call.carrier end
      if transfer then entry[#entry + 1], entry[#entry + 2] = 'transfer', transfer end
      redis.call('XADD', '${PUBLIC_EVENTS}', 'MAXLEN', '~', ${PUBLIC_EVENTS_KEPT}, '*', unpack(entry))
    end
  end
  if call.ended_at then
    local settle = call.detail_version and ${AMENDMENT_SETTLE_MS} or ${RECORD_SETTLE_MS}
    local span = math.floor(now_ms / settle)
    redis.call('ZADD', '${DETAIL_RECORDS_DUE}', 'NX', (span + 2) * settle, id .. '/' .. string.format('%d', span))
  end
  local told = {}
  for n, i in ipairs(fresh) do told[n] = names[i] end
  redis.call('PUBLISH', record, table.concat(told, ' '))
  return #fresh == count or fresh
end

local results = {}
local place = 2
for i = 3, #KEYS do
  local count = tonumber(ARGV[place + 2])
  results[i - 2] = merge(KEYS[i], ARGV[place], ARGV[place + 1], place + 3, count)
  place = place + 3 + 2 * count
end
return results
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
