-- Notes that a client waits for a workflow's end.
-- KEYS: 1 workflow (hash)
-- ARGV: the client
-- Returns 1 noted | -3 it has ended | -1 gone
--- include answers
--- include waiters
local state, waiters = unpack(redis.call('HMGET', KEYS[1], 'state', 'waiters'))
if not state then return GONE end
if is_final(state) then return FINISHED end
note_waiter(KEYS[1], waiters, ARGV[1])
return 1
