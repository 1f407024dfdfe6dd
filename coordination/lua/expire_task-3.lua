-- Ends a claimed attempt that ran out of time, if the step is still unsettled.
-- Invariant 2: no step is applied by two epochs.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 events (stream)
-- ARGV: id, epoch, step, generation, number
-- Returns {1, seq, now ms} timed out | {2} still queued | {3, remaining ms} running | {-4} settled or superseded | {-2} | {-1}
--- include answers
--- include now
--- include task
--- include journal
--- include append
local epoch, state = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'state'))
if not epoch then return {GONE} end
if epoch ~= ARGV[2] or is_final(state) then return {STALE} end
local task = read_task(KEYS[1], ARGV[3])
if not task then return {GONE} end
if task.generation ~= ARGV[4] or task.number ~= ARGV[5] then return {DUPLICATE} end
if task.state == 'q' then return {2} end
if task.state ~= 'c' then return {DUPLICATE} end
if task.deadline > now then return {3, task.deadline - now} end
task.state = 'f'
write_task(KEYS[1], ARGV[3], task)
local seq = append(KEYS[1], KEYS[2], now, cmsgpack.pack({'o', ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]),
  task.agent, task.claimed}))
announce(KEYS[3], ARGV[1], 'progressed', seq, now)
return {1, seq, now}
