-- A host's heartbeat: counts its own, tells all counts. A host that was declared dead learns it here.
-- KEYS: 1 beats (hash), 2 hosts (hash), 3 times of the beats (hash)
-- ARGV: host, what it says of itself JSON or '', 1 for its first beat
-- Returns {1, now ms, host, count, …} | {-2} not known: declared dead, or the server lost its data
--- include answers
--- include now
if ARGV[3] ~= '1' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {STALE} end
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('HSET', KEYS[3], ARGV[1], now)
if ARGV[2] ~= '' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) end
local answer = redis.call('HGETALL', KEYS[1])
table.insert(answer, 1, now)
table.insert(answer, 1, 1)
return answer
