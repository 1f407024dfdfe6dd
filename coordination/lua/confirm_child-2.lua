-- Notes that a parent's journal has its child's end, so that the child may be archived.
-- KEYS: 1 workflow of the child (hash), 2 deadlines (zset)
-- ARGV: child id
-- Returns 1
redis.call('HDEL', KEYS[1], 'parent')
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
