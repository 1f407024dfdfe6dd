-- Takes an agent instance out of the registry and leaves its queues to the living, as one change,
-- unless it has beaten since the caller looked.
-- KEYS: 1 beats (hash), 2 instances (hash), 3 status (hash), 4 draining (hash), 5 orphans (hash)
-- ARGV: instance, its beat as the caller saw it ('' when it leaves by itself), task type, task type ...
-- Returns 1 buried | -2 it has beaten since | -1 it is gone already
--- include answers
--- include now
local beat = redis.call('HGET', KEYS[1], ARGV[1])
if not beat then return GONE end
if ARGV[2] ~= '' and beat ~= ARGV[2] then return STALE end
for index = 3, #ARGV do
  redis.call('HSET', KEYS[5], ARGV[1] .. '|' .. ARGV[index], now)
end
for index = 1, 4 do redis.call('HDEL', KEYS[index], ARGV[1]) end
return 1
