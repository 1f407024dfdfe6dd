-- One heartbeat of an agent instance, which learns what operators want of it in the same trip.
-- KEYS: 1 beats (hash), 2 status (hash), 3 draining (hash), 4 paused and ramping types (hash), 5 orphans (hash)
-- ARGV: instance, status JSON, its field among the orphans
-- Returns {1, now ms, draining 0 or 1, {type, note JSON, …}} | {-8} declared dead | {-1} not registered; both change nothing
--- include answers
--- include now
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before then
  if redis.call('HEXISTS', KEYS[5], ARGV[3]) == 1 then return {REFUSED} end
  return {GONE}
end
local count = (tonumber(string.match(before, '^%d+')) or 0) + 1
redis.call('HSET', KEYS[1], ARGV[1], count .. ':' .. now)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return {1, now, redis.call('HEXISTS', KEYS[3], ARGV[1]), redis.call('HGETALL', KEYS[4])}
