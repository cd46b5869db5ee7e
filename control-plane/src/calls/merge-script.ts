/** Prefix of the index of the calls to one of our numbers that Retell has answered, by their end. */
export const INBOUND = 'calls:inbound:';
/** How long an ended call stays there: events of two calls may be handled in another order. */
const INBOUND_KEPT_MS = 60_000;

/**
 * Adds fields to a call's record, each only where it is not there yet, and keeps the indices right: they change with
 * the record's first fields, its names and its end. An inbound call that Retell has answered is in its number's index
 * for a minute longer than it is up.
 *
 * KEYS: record, all calls (by creation), open calls (by creation)
 * ARGV: id, retention in seconds, time in ms for the index, then field, value, ...
 * Returns the fields that were new.
 */
export const MERGE = `
local fresh = {}
for i = 4, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) == 1 then fresh[#fresh + 1] = ARGV[i] end
end
if #fresh == 0 then return fresh end
local indexed = redis.call('HLEN', KEYS[1]) == #fresh
local answered = false
for _, field in ipairs(fresh) do
  if field == 'sip_call_id' or field == 'retell_call_id' or field == 'ended_at' then indexed = true end
  if field == 'number' or field == 'answered_at' or field == 'fell_back' or field == 'ended_at' then answered = true end
end
if indexed then
  redis.call('ZADD', KEYS[2], 'NX', ARGV[3], ARGV[1])
  local names = redis.call('HMGET', KEYS[1], 'sip_call_id', 'retell_call_id', 'ended_at')
  local keys = {}
  if names[1] then keys[1] = 'call-id:' .. names[1] end
  if names[2] then keys[#keys + 1] = 'retell-call:' .. names[2] end
  if names[3] then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    for _, key in ipairs(keys) do redis.call('SET', key, ARGV[1], 'EX', ARGV[2]) end
  else
    redis.call('ZADD', KEYS[3], 'NX', ARGV[3], ARGV[1])
    for _, key in ipairs(keys) do redis.call('SET', key, ARGV[1]) end
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
redis.call('PUBLISH', KEYS[1], table.concat(fresh, ' '))
return fresh
`;
