-- Forgets a consumer that holds nothing; one that does would take its pending entries with it.
-- KEYS: 1 a stream with a group
-- ARGV: group, consumer
-- Returns 1 forgotten | 0 it still holds entries
if redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])[1] then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
