-- Accepts a workflow that begins with entries in its journal, exactly once.
-- Invariant 1: no accepted workflow is lost.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 workflows (stream), 4 deadlines (zset), 5 events (stream)
-- ARGV: id, type, version, input JSON, first look ms, labels JSON, ms at which run() began first, entries …
-- Returns {1, now ms} accepted | {-4, state} there already
--- include answers
--- include now
--- include numbers
--- include journal
--- include append
local look = number(5)
local known = redis.call('HGET', KEYS[1], 'state')
if known then return {DUPLICATE, known} end
local entry = redis.call('XADD', KEYS[3], '*', 'w', ARGV[1])
redis.call('HSET', KEYS[1], 'type', ARGV[2], 'version', ARGV[3], 'state', 'queued', 'input', ARGV[4], 'epoch', 0,
  'seq', #ARGV - 7, 'owner', '', 'open', 0, 'entry', 'w' .. entry, 'created', now,
  'labels', ARGV[6], 'began', ARGV[7])
for index = 8, #ARGV do write(KEYS[2], index - 7, now, ARGV[index]) end
redis.call('ZADD', KEYS[4], now + look, ARGV[1])
announce(KEYS[5], ARGV[1], 'submitted', #ARGV - 7, now)
return {1, now}
