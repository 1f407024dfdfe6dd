-- Settles a step by the first valid result of any attempt, or notes that the present attempt failed.
-- Carries no epoch: accepted results survive a takeover.
-- Invariant 3: a step settles once, by the first valid result of any attempt.
-- Invariant 4: accepted results, signals and decisions survive a takeover.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 events (stream)
-- ARGV: id, step, generation, number, 's' settled or 'f' failed, journal entry
-- Returns {1, owner, seq, now ms} | {-4} late, nothing changed | {-1} gone
--- include answers
--- include now
--- include task
--- include journal
local record, seq, owner, progress, state =
  unpack(redis.call('HMGET', KEYS[1], 't:' .. ARGV[2], 'seq', 'owner', 'p:' .. ARGV[2], 'state'))
local task = parse_task(record)
if not task then return {GONE} end
local open = task.state == 'q' or task.state == 'c'
if ARGV[5] == 's' then open = open or task.state == 'f' else open = open and task.number == ARGV[4] end
if task.generation ~= ARGV[3] or not open or FINAL[state] then
  redis.call('HINCRBY', KEYS[1], 'late', 1)
  return {DUPLICATE}
end
task.state = ARGV[5]
seq = seq + 1
redis.call('HSET', KEYS[1], 't:' .. ARGV[2], task_record(task), 'seq', seq)
if progress then redis.call('HDEL', KEYS[1], 'p:' .. ARGV[2]) end
write(KEYS[2], seq, now, ARGV[6])
announce(KEYS[3], ARGV[1], 'progressed', seq, now)
return {1, owner or '', seq, now}
