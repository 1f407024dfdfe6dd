-- Notes that a client waits for a workflow's end.
-- KEYS: 1 workflow (hash)
-- ARGV: the client
-- Returns 1 noted | -3 it has ended | -1 gone
--- include answers
local state, waiters = unpack(redis.call('HMGET', KEYS[1], 'state', 'waiters'))
if not state then return GONE end
if is_final(state) then return FINISHED end
redis.call('HSET', KEYS[1], 'waiters', (waiters or '') .. ' ' .. ARGV[1])
return 1
