-- Acknowledges and deletes entries, so that neither the pending list nor the stream leaks.
-- Invariant 8: unacknowledged entries are never trimmed.
-- KEYS: 1 a stream with a group
-- ARGV: group, entry id, entry id ... at most 1,000
-- Returns how many entries were acknowledged
local acknowledged = redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
return acknowledged
