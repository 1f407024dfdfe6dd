-- Settles a step by the first valid result of any attempt, or notes that the present attempt failed.
-- Carries no epoch: accepted results survive a takeover.
-- Invariant 3: a step settles once, by the first valid result of any attempt.
-- Invariant 4: accepted results, signals and decisions survive a takeover.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 events (stream), 4 events seen (zset)
-- ARGV: id, step, generation, number, 's' settled or 'f' failed, journal entry, what stands before an owner in the key of its
--   inbox or '', most entries there
-- Returns {1, owner to be woken or '', seq, now ms} | {-4} late, nothing changed | {-1} gone
--- include answers
--- include now
--- include journal
--- include wake
local field = 't:' .. ARGV[2]
local record, seq, owner, progress, running, told =
  unpack(redis.call('HMGET', KEYS[1], field, 'seq', 'owner', 'p:' .. ARGV[2], 'state', 'told'))
if not record then return {GONE} end
local generation, number, state, rest = string.match(record, '^(%d+):(%d+):(%a)(.*)$') -- see _task.lua
local open = state == 'q' or state == 'c'
if ARGV[5] == 's' then open = open or state == 'f' else open = open and number == ARGV[4] end
if generation ~= ARGV[3] or not open or is_final(running) then
  redis.call('HINCRBY', KEYS[1], 'late', 1)
  return {DUPLICATE}
end
seq = seq + 1
redis.call('HSET', KEYS[1], field, generation .. ':' .. number .. ':' .. ARGV[5] .. rest, 'seq', seq,
  'told', announce_once(KEYS[3], KEYS[4], told, ARGV[1], 'progressed', seq, now))
if progress then redis.call('HDEL', KEYS[1], 'p:' .. ARGV[2]) end
write(KEYS[2], seq, now, ARGV[6])
return {1, wake(ARGV[7], ARGV[8], owner or '', ARGV[1], 'q', seq, 't', now, 'e', ARGV[6]), seq, now}
