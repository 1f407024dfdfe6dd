-- Notes that a parent's journal has its child's end, so that the child may leave Redis.
-- KEYS: 1 workflow of the child (hash), 2 deadlines (zset), 3 events (stream)
-- ARGV: child id
-- Returns 1 | -1 gone
--- include answers
--- include now
--- include journal
--- include append
redis.call('ZREM', KEYS[2], ARGV[1])
local seq = redis.call('HGET', KEYS[1], 'seq')
if not seq then return GONE end
if redis.call('HDEL', KEYS[1], 'parent') == 1 then announce(KEYS[3], ARGV[1], 'confirmed', seq, now) end
return 1
