-- Lets a waiting workflow leave its host's memory, unless its journal holds what the host has not read.
-- Invariant 2: no step is applied by two epochs.
-- Invariant 4: accepted results, signals and decisions survive a takeover.
-- KEYS: 1 workflow (hash), 2 workflows (stream), 3 resumes (stream), 4 deadlines (zset), 5 events (stream)
-- ARGV: id, epoch, last seq read, due ms
-- Returns 1 | -1 | -2 | -7 read the journal first
--- include answers
--- include now
--- include numbers
--- include journal
--- include append
--- include state
--- include resume
number(4)
local epoch, seq, entry, open, owner, paused =
  unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'entry', 'open', 'owner', 'paused'))
if not epoch then return GONE end
if epoch ~= ARGV[2] then return STALE end
if owner == '' then return 1 end -- this host's own parking, whose answer was lost
if seq ~= ARGV[3] then return UNREAD end
let_go({w = KEYS[2], r = KEYS[3]}, entry)
redis.call('HSET', KEYS[1], 'owner', '', 'parked', 1, 'entry', '', 'state', shown(paused, open, 'waiting'))
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
announce(KEYS[5], ARGV[1], 'parked', seq, now)
return 1
