-- Registers an agent instance, or registers it again after the registry was lost.
-- KEYS: 1 beats (hash), 2 instances (hash), 3 status (hash), 4 orphans (hash)
-- ARGV: instance, registration JSON, status JSON, its field among the orphans
-- Returns {1, now ms} | {-8} this incarnation was declared dead: take a new one
--- include answers
--- include now
if redis.call('HEXISTS', KEYS[4], ARGV[4]) == 1 then return {REFUSED} end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], '1:' .. now)
return {1, now}
