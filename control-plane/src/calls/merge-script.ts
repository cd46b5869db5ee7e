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
 * So many ms after the first news of an ended call its detail record is due: its BYEs are answered then, and Retell's
 * first word of its end has come. Other news in the same span of so many ms lead to the same writing, which is never
 * due before the span is over; what comes in the next one is another piece of work, so nothing is missed.
 */
const RECORD_SETTLE_MS = 4000;
/** The same of amendments, which are less urgent. */
const AMENDMENT_SETTLE_MS = 20_000;

/** Prefix of the index of the calls to one of our numbers that Retell has answered, by their end. */
export const INBOUND = 'calls:inbound:';
/** Prefix of the index of the calls between one of our numbers and another one, by their creation. */
export const BETWEEN = 'calls:between:';
/** How long it is kept after the last of them, in s: Retell tells of a call later than that by its id. */
const BETWEEN_KEPT_S = 3600;
/** How long an ended call stays in the index of its number: events of two calls may be handled in another order. */
const INBOUND_KEPT_MS = 60_000;

/** A name of a call is kept for so much longer than records are, in s: it is written once, and a call lasts a day at most. */
const NAME_KEPT_S = 172_800;

/**
 * Adds fields to calls' records, each only where it is not there yet, and in the same step does all that has to follow
 * from them, so that a crash loses none of it:
 * - The indices change with the record's first fields, its names and its end. An inbound call that Retell has answered
 *   is in its number's index for a minute longer than it is up.
 * - What others want to hear of goes into the stream of events.
 * - An ended call's detail record becomes due, again with what comes late.
 * Nothing is added to a record whose data was erased, or what tells of another call of Retell's than the record's.
 *
 * Most of what Redis takes for it is not the commands but calling them from a script, so an index that many records are
 * in is written once for all of them, at the end.
 *
 * KEYS: all calls (by creation), open calls (by creation), then the records
 * ARGV: retention in seconds, then for each record: id, time in ms for the index, how many fields, and field, value, ...
 * Returns for each record the places of the fields that were new, from 1 on; 1 in place of all of them; or false where
 * they are about another call of Retell's.
 */
export const MERGE = `
local redis_call, match, gsub, unpack = redis.call, string.match, string.gsub, unpack
local call_events = ${luaTable(CALL_EVENT_FIELDS)}
local transfer_events = ${luaTable(TRANSFER_EVENT_FIELDS)}
-- What a known record is asked for, and behind it the names that are to be added to it.
local asked = {'erased_at', 'ended_at', 'detail_version', 'direction', 'number', 'carrier', 'answered_at', 'fell_back'}
local asked_count = #asked
local name_prefixes = {sip_call_id = 'call-id:', retell_call_id = 'retell-call:'}
local time = redis_call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000
local retention_s = tonumber(ARGV[1])

-- Scores and members of the indices, and the members that leave them.
local created, opened, closed, ended, due = {}, {}, {}, {}, {}
-- Of each index of two numbers: scores and members.
local between = {}
-- Of each number's index: scores by member, false for those that leave it.
local inbound, inbound_before = {}, {}
-- Channels of the records that have changed, and names of what is new in them.
local changed, told = {}, {}

local function append(list, first, second)
  local n = #list
  list[n + 1], list[n + 2] = first, second
end

local function tell(type, id, call, transfer)
  local entry = {'type', type, 'call', id}
  if call.direction then append(entry, 'direction', call.direction) end
  if call.carrier then append(entry, 'carrier', call.carrier) end
  if transfer then append(entry, 'transfer', transfer) end
  redis_call('XADD', '${PUBLIC_EVENTS}', '*', unpack(entry))
end

-- The places of those fields that are not in the record yet, and their values by name; or nothing where they are about
-- another call of Retell's.
local function news(values, place, count)
  local places, new = {}, {}
  for i = 1, count do
    local at = place + 2 * i - 2
    local name, value, known = ARGV[at], ARGV[at + 1], values[asked_count + i]
    if not known then
      places[#places + 1] = i
      new[name] = value
    elseif name == 'retell_call_id' and known ~= value then
      return
    end
  end
  return places, new
end

-- Names and values of the fields at these places, all in one list.
local function listed(places, place)
  local list = {}
  for _, i in ipairs(places) do append(list, ARGV[place + 2 * i - 2], ARGV[place + 2 * i - 1]) end
  return list
end

local function merge(record, id, at_ms, place, count)
  if count == 0 then return 1 end
  local last = place + 2 * count - 1
  local is_known = redis_call('EXISTS', record) == 1
  local places, new, call
  local all_are_new = true
  if is_known then
    for i = 1, count do asked[asked_count + i] = ARGV[place + 2 * i - 2] end
    local values = redis_call('HMGET', record, unpack(asked, 1, asked_count + count))
    if values[1] then return {} end
    places, new = news(values, place, count)
    if not places then return false end
    if #places == 0 then return places end
    all_are_new = #places == count
    call = {}
    for i = 2, asked_count do call[asked[i]] = new[asked[i]] or values[i] or nil end
  else
    new = {}
    for i = place, last, 2 do new[ARGV[i]] = ARGV[i + 1] end
    call = new
    append(created, at_ms, id)
    if not call.ended_at then append(opened, at_ms, id) end
  end
  if all_are_new then
    redis_call('HSET', record, unpack(ARGV, place, last))
  else
    redis_call('HSET', record, unpack(listed(places, place)))
  end

  if new.ended_at then
    closed[#closed + 1] = id
    append(ended, call.ended_at, id)
    redis_call('EXPIRE', record, retention_s)
  end
  for field, prefix in pairs(name_prefixes) do
    if new[field] then redis_call('SET', prefix .. new[field], id, 'EX', retention_s + ${NAME_KEPT_S}) end
  end
  if new.number then
    local name = call.direction == 'outbound' and 'to' or 'from'
    local other = gsub(new[name] or redis_call('HGET', record, name) or '', '%D', '')
    if other ~= '' then
      local key = '${BETWEEN}' .. call.number .. ':' .. other
      between[key] = between[key] or {}
      append(between[key], at_ms, id)
    end
  end
  if call.direction == 'inbound' and call.number and call.answered_at and
      (new.number or new.answered_at or new.fell_back or new.ended_at) then
    local key = '${INBOUND}' .. call.number
    inbound[key] = inbound[key] or {}
    inbound[key][id] = not call.fell_back and (call.ended_at or '+inf')
    if call.ended_at then
      inbound_before[key] = math.max(inbound_before[key] or 0, call.ended_at - ${INBOUND_KEPT_MS})
    end
  end
  changed[#changed + 1] = record
  local new_names = told[record] or {}
  told[record] = new_names
  for i = place, last, 2 do
    local field = ARGV[i]
    if new[field] then
      new_names[#new_names + 1] = field
      if call_events[field] then
        tell(call_events[field], id, call)
      else
        local transfer, stage = match(field, '^transfer:(.+):(%l+)$')
        if transfer and transfer_events[stage] then tell(transfer_events[stage], id, call, transfer) end
      end
    end
  end
  if call.ended_at then
    local settle = call.detail_version and ${AMENDMENT_SETTLE_MS} or ${RECORD_SETTLE_MS}
    local span = math.floor(now_ms / settle)
    append(due, math.floor(now_ms) + settle, id .. '/' .. string.format('%d', span))
  end
  return all_are_new and 1 or places
end

local results = {}
local place = 2
for i = 3, #KEYS do
  local count = tonumber(ARGV[place + 2])
  results[i - 2] = merge(KEYS[i], ARGV[place], ARGV[place + 1], place + 3, count)
  place = place + 3 + 2 * count
end

if #created > 0 then redis_call('ZADD', KEYS[1], 'NX', unpack(created)) end
if #opened > 0 then redis_call('ZADD', KEYS[2], 'NX', unpack(opened)) end
if #closed > 0 then
  redis_call('ZREM', KEYS[2], unpack(closed))
  redis_call('ZADD', '${ENDED}', 'NX', unpack(ended))
end
if #due > 0 then redis_call('ZADD', '${DETAIL_RECORDS_DUE}', 'NX', unpack(due)) end
for key, scores in pairs(between) do
  redis_call('ZADD', key, 'NX', unpack(scores))
  redis_call('EXPIRE', key, ${BETWEEN_KEPT_S})
end
for key, scores in pairs(inbound) do
  local there, gone = {}, {}
  for id, score in pairs(scores) do
    if score then append(there, score, id) else gone[#gone + 1] = id end
  end
  if #there > 0 then redis_call('ZADD', key, unpack(there)) end
  if #gone > 0 then redis_call('ZREM', key, unpack(gone)) end
  if inbound_before[key] then redis_call('ZREMRANGEBYSCORE', key, '-inf', inbound_before[key]) end
  redis_call('EXPIRE', key, retention_s)
end
if #changed > 0 then
  redis_call('XTRIM', '${PUBLIC_EVENTS}', 'MAXLEN', '~', ${PUBLIC_EVENTS_KEPT})
  local listeners = redis_call('PUBSUB', 'NUMSUB', unpack(changed))
  for i = 1, #listeners, 2 do
    local record = listeners[i]
    if listeners[i + 1] > 0 and told[record] then
      redis_call('PUBLISH', record, table.concat(told[record], ' '))
      told[record] = nil
    end
  end
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
