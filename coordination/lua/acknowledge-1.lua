-- Acknowledges and deletes one entry, so that neither the pending list nor the stream leaks.
-- KEYS: 1 a stream with a group
-- ARGV: group, entry id
-- Returns how many entries were acknowledged
local acknowledged = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return acknowledged
