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
-- What a record is asked for, and behind it the names that are to be added to it.
local asked = {'erased_at', 'ended_at', 'detail_version', 'direction', 'number', 'carrier', 'answered_at', 'fell_back'}
local asked_count = #asked
-- The fields that something follows from here.
local noted = {direction = 1, number = 1, carrier = 1, from = 1, to = 1, sip_call_id = 1, retell_call_id = 1,
  answered_at = 1, fell_back = 1, ended_at = 1}
local time = redis_call('TIME')
local now_ms = math.floor(time[1] * 1000 + time[2] / 1000)
local retention_s = tonumber(ARGV[1])

-- Scores and members of the indices, and the members that leave them.
local created, opened, closed, ended, due = {}, {}, {}, {}, {}
-- Of each index of two numbers: scores and members.
local between = {}
-- Of each number's index: scores by member, false for those that leave it.
local inbound, inbound_before = {}, {}
-- Channels of the records that have changed, and where in ARGV what is new in them begins, and how much or which of it.
local changed, told = {}, {}

local function append(list, first, second)
  local n = #list
  list[n + 1], list[n + 2] = first, second
end

local function any(values, from, to)
  for i = from, to do
    if values[i] then return true end
  end
  return false
end

local function tell(type, id, call, transfer)
  local entry = {'type', type, 'call', id}
  if call.direction then append(entry, 'direction', call.direction) end
  if call.carrier then append(entry, 'carrier', call.carrier) end
  if transfer then append(entry, 'transfer', transfer) end
  redis_call('XADD', '${PUBLIC_EVENTS}', '*', unpack(entry))
end

local function set_name(name, id)
  redis_call('SET', name, id, 'EX', retention_s + ${NAME_KEPT_S})
end

-- When a detail record is due, and what its piece of work is called behind the call's id.
local function due_after(settle)
  return now_ms + settle, '/' .. string.format('%d', math.floor(now_ms / settle))
end
local record_due, record_piece = due_after(${RECORD_SETTLE_MS})
local amendment_due, amendment_piece = due_after(${AMENDMENT_SETTLE_MS})

-- The places of those fields that are not in the record yet; or nothing where they are about another call of Retell's.
local function places_of_new(values, place, count)
  local places = {}
  for i = 1, count do
    local at, known = place + 2 * i - 2, values[asked_count + i]
    if not known then
      places[#places + 1] = i
    elseif ARGV[at] == 'retell_call_id' and known ~= ARGV[at + 1] then
      return
    end
  end
  return places
end

-- Names and values of the fields at these places, all in one list.
local function listed(places, place)
  local list = {}
  for _, i in ipairs(places) do append(list, ARGV[place + 2 * i - 2], ARGV[place + 2 * i - 1]) end
  return list
end

local function merge(record, id, at_ms, place, count)
  if count == 0 then return 1 end
  for i = 1, count do asked[asked_count + i] = ARGV[place + 2 * i - 2] end
  local values = redis_call('HMGET', record, unpack(asked, 1, asked_count + count))
  if values[1] then return {} end
  local places
  if any(values, asked_count + 1, asked_count + count) then
    places = places_of_new(values, place, count)
    if not places then return false end
    if #places == 0 then return places end
    redis_call('HSET', record, unpack(listed(places, place)))
  else
    redis_call('HSET', record, unpack(ARGV, place, place + 2 * count - 1))
  end

  local new, types, transfers = {}, {}, {}
  for n = 1, places and #places or count do
    local at = place + 2 * (places and places[n] or n) - 2
    local name = ARGV[at]
    local type, transfer, stage = call_events[name]
    if noted[name] then
      new[name] = ARGV[at + 1]
    elseif not type then
      transfer, stage = match(name, '^transfer:(.+):(%l+)$')
      type = transfer and transfer_events[stage]
    end
    if type then
      types[#types + 1] = type
      transfers[#types] = transfer
    end
  end
  local call = {
    ended_at = new.ended_at or values[2] or nil,
    direction = new.direction or values[4] or nil,
    number = new.number or values[5] or nil,
    carrier = new.carrier or values[6] or nil,
    answered_at = new.answered_at or values[7] or nil,
    fell_back = new.fell_back or values[8] or nil,
  }

  -- A record that has none of these may be there all the same: then it is in its indices already.
  if not any(values, 2, asked_count + count) then
    append(created, at_ms, id)
    if not call.ended_at then append(opened, at_ms, id) end
  end
  if new.ended_at then
    closed[#closed + 1] = id
    append(ended, call.ended_at, id)
    redis_call('EXPIRE', record, retention_s)
  end
  if new.sip_call_id then set_name('call-id:' .. new.sip_call_id, id) end
  if new.retell_call_id then set_name('retell-call:' .. new.retell_call_id, id) end
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
  for i, type in ipairs(types) do tell(type, id, call, transfers[i]) end
  if call.ended_at then
    if values[3] then
      append(due, amendment_due, id .. amendment_piece)
    else
      append(due, record_due, id .. record_piece)
    end
  end
  changed[#changed + 1] = record
  told[record] = told[record] or {}
  append(told[record], place, places or count)
  return places or 1
end

-- The names of what is new in a record.
local function names_of(news)
  local names = {}
  for n = 1, #news, 2 do
    local place, places = news[n], news[n + 1]
    local all = type(places) == 'number'
    for i = 1, all and places or #places do
      names[#names + 1] = ARGV[place + 2 * (all and i or places[i]) - 2]
    end
  end
  return names
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
      redis_call('PUBLISH', record, table.concat(names_of(told[record]), ' '))
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
