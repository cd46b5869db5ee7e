/** Steps on hangup jobs that Redis does in one go. */

/**
 * KEYS: job, pending, running jobs
 * ARGV: id, time in ms, most jobs that may run, number of arguments that are fields, fields, then ids of calls
 */
export const CREATE = `
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[3]) then return 0 end
local fields = tonumber(ARGV[4])
redis.call('HSET', KEYS[1], unpack(ARGV, 5, 4 + fields))
for i = 5 + fields, #ARGV do redis.call('ZADD', KEYS[2], i - 5 - fields, ARGV[i]) end
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
return 1
`;

/**
 * What is taken counts as tried, so that what was in hand at a crash comes behind what was not.
 *
 * KEYS: job, pending, lease
 * ARGV: worker, least score, score before which, most, what a try adds to a score
 * Returns ids, or nothing where this worker may not go on.
 */
export const TAKE = `
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return false end
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return false end
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[2], '(' .. ARGV[3], 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do redis.call('ZINCRBY', KEYS[2], ARGV[5], id) end
return ids
`;

/**
 * A call that is in hand when the job is cancelled comes after the end.
 *
 * KEYS: job, pending, results
 * ARGV: id of the call, outcome, result, seconds that results are kept after the end
 */
export const RECORD = `
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
redis.call('RPUSH', KEYS[3], ARGV[3])
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then redis.call('EXPIRE', KEYS[3], ARGV[4]) end
return 1
`;

/**
 * KEYS: job, pending, results, running jobs, finished jobs
 * ARGV: id, state, time in ms, seconds that it is kept, jobs that are listed
 * Returns `finished`, `pending` where calls are, `over` where the job does not run, or nothing where there is none.
 */
export const FINISH = `
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return false end
if state ~= 'running' then return 'over' end
if ARGV[2] == 'done' and redis.call('ZCARD', KEYS[2]) > 0 then return 'pending' end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'finished_at', ARGV[3])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', ARGV[3] - ARGV[4] * 1000)
redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -ARGV[5] - 1)
redis.call('EXPIRE', KEYS[5], ARGV[4])
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
return 'finished'
`;

/** KEYS: lease. ARGV: worker, ms */
export const RENEW = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;

/** KEYS: lease. ARGV: worker */
export const RELEASE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`;
