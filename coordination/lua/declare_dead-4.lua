-- Removes a host whose count still stands where the observer saw it; one observer wins.
-- KEYS: 1 beats (hash), 2 hosts (hash), 3 host events (stream), 4 times of the beats (hash)
-- ARGV: host, count that stood still ('' for a host that leaves by itself), observer, silent ms, kind lost or stopped
-- Returns 1 | -6 it has beaten since | -1 somebody else did
--- include answers
--- include now
local count = redis.call('HGET', KEYS[1], ARGV[1])
if not count then return GONE end
if ARGV[2] ~= '' and count ~= ARGV[2] then return CONFLICT end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'k', ARGV[5], 'host', ARGV[1], 'by', ARGV[3], 'silent_ms', ARGV[4],
  't', now)
return 1
