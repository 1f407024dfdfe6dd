-- Holds a live workflow: from now on nothing of it begins anew until it is resumed.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 events (stream)
-- ARGV: id, journal entry, who and why JSON
-- Returns {1, owner, seq, now ms} | {-1} | {-3} finished | {-4} paused before
--- include answers
--- include now
--- include journal
--- include append
local state, owner = unpack(redis.call('HMGET', KEYS[1], 'state', 'owner'))
if not state then return {GONE} end
if is_final(state) then return {FINISHED} end
if redis.call('HSETNX', KEYS[1], 'paused', ARGV[3]) == 0 then return {DUPLICATE} end
redis.call('HSET', KEYS[1], 'state', 'paused')
local seq = append(KEYS[1], KEYS[2], now, ARGV[2])
announce(KEYS[3], ARGV[1], 'progressed', seq, now)
return {1, owner, seq, now}
