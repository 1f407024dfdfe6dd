-- Puts a delivered entry back at the end of its stream, once.
-- Invariant 8: unacknowledged entries are never trimmed.
-- KEYS: 1 a stream with a group
-- ARGV: group, entry id
-- Returns the new entry's id | -1 the entry was no longer pending
--- include answers
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 or not entry then return GONE end
local added = redis.call('XADD', KEYS[1], '*', unpack(entry[2]))
redis.call('XDEL', KEYS[1], ARGV[2])
return added
