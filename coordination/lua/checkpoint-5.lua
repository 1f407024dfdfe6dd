-- Appends entries to a journal under the writer's epoch, stores fields beside them, and queues the tasks that they ask for.
-- Invariant 2: no step is applied by two epochs.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 deadlines (zset), 4 events (stream), 5 events seen (zset)
-- ARGV: id, epoch, due ms or 0, event kind or '', most entries, checkpoints the writer knows of, number of the last entry
--   that it has seen, number of field-value pairs, number of entries, field, value …, entries …, and where one server holds
--   every key for each task: its queue, number of values, field, value …
-- Returns {first seq, now ms, tasks queued} | {-1} | {-2} another epoch writes now, or it has ended | {-7, checkpoints} read
--   the journal first: a task it would queue is settled, one of the writer's own checkpoints came late, or it has seen what
--   is lost | {-8} the journal is full
--- include answers
--- include now
--- include numbers
--- include journal
--- include settled
--- include fields
local due, most, entries = number(3), number(5), 10 + 2 * number(8)
local last_entry = entries + number(9) - 1
local task = last_entry + 1
while task < #ARGV do task = task + 2 + math.max(number(task + 1), 0) end
local wanted = {'epoch', 'seq', 'checkpoints', 'state', 'told'}
for index = 10, entries - 1, 2 do -- the records of the tasks that it would queue, as they are
  if string.match(ARGV[index + 1], '^%d+:%d+:q') then wanted[#wanted + 1] = ARGV[index] end
end
local held = redis.call('HMGET', KEYS[1], unpack(wanted))
local epoch, seq, checkpoints, state, told = unpack(held, 1, 5)
if not epoch then return {GONE} end
if epoch ~= ARGV[2] or is_final(state) then return {STALE} end
checkpoints = checkpoints or '0'
if checkpoints ~= ARGV[6] or tonumber(seq) < number(7) then return {UNREAD, tonumber(checkpoints)} end
local first = tonumber(seq) + 1
local last = first + last_entry - entries
if last > most then return {REFUSED} end
for index = 6, #held do
  if is_settled(held[index]) then return {UNREAD, tonumber(checkpoints)} end
end
if ARGV[4] ~= '' then told = announce_once(KEYS[4], KEYS[5], told, ARGV[1], ARGV[4], last, now) end
redis.call('HSET', KEYS[1], 'told', told or 0, 'seq', last, 'checkpoints', checkpoints + 1, slice(10, entries - 1))
store_rest(KEYS[1], 10, entries - 1)
for index = entries, last_entry do write(KEYS[2], first + index - entries, now, ARGV[index]) end
if due > 0 then
  local before = redis.call('ZSCORE', KEYS[3], ARGV[1])
  if not before or tonumber(before) > due then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) end
end
local queued = 0
task = last_entry + 1
while task < #ARGV do
  local upto = task + 1 + ARGV[task + 1]
  if type(redis.pcall('XADD', ARGV[task], '*', unpack(ARGV, task + 2, upto))) == 'table' then break end -- the caller queues the rest
  queued, task = queued + 1, upto + 1
end
return {first, now, queued}
