-- Deletes a queue that is empty.
-- KEYS: 1 stream
-- ARGV: none
-- Returns 1 it is gone | 0 it holds entries
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('DEL', KEYS[1])
return 1
