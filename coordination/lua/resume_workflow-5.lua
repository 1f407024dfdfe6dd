-- Lets a paused workflow go on; one that is parked is queued to be taken up.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 resumes (stream), 4 deadlines (zset), 5 events (stream)
-- ARGV: id, journal entry, look ms
-- Returns {1, owner, seq, now ms} | {-1} | {-3} finished | {-4} not paused
--- include answers
--- include now
--- include numbers
--- include journal
--- include append
--- include state
--- include resume
local look = number(3)
local state, owner = unpack(redis.call('HMGET', KEYS[1], 'state', 'owner'))
if not state then return {GONE} end
if is_final(state) then return {FINISHED} end
if not unpause(KEYS[1]) then return {DUPLICATE} end
local seq = append(KEYS[1], KEYS[2], now, ARGV[2])
resume(KEYS[1], KEYS[3], KEYS[4], ARGV[1], now, look)
announce(KEYS[5], ARGV[1], 'progressed', seq, now)
return {1, owner, seq, now}
