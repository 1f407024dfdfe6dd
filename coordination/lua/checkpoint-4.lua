-- Appends entries to a journal under the writer's epoch, and stores fields beside them.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 deadlines (zset), 4 events (stream)
-- ARGV: id, epoch, due ms or 0, event kind or '', most entries, number of field-value pairs, field, value …, entries …
-- Returns {first seq, now ms} | {-1} | {-2} another epoch writes now | {-7} a task it would queue is settled: read the
--   journal first | {-8} the journal is full
--- include answers
--- include now
--- include journal
--- include task
local epoch, seq = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq'))
if not epoch then return {GONE} end
if epoch ~= ARGV[2] then return {STALE} end
local pairs_, first = tonumber(ARGV[6]), tonumber(seq) + 1
local entries = 7 + 2 * pairs_
if first + #ARGV - entries > tonumber(ARGV[5]) then return {REFUSED} end
for index = 7, entries - 1, 2 do
  if string.match(ARGV[index + 1], '^%d+:%d+:q') and is_settled(KEYS[1], ARGV[index]) then return {UNREAD} end
end
local last = first + #ARGV - entries
redis.call('HSET', KEYS[1], 'seq', last, unpack(ARGV, 7, entries - 1))
for index = entries, #ARGV do write(KEYS[2], first + index - entries, now, ARGV[index]) end
if ARGV[3] ~= '0' then
  local due = redis.call('ZSCORE', KEYS[3], ARGV[1])
  if not due or tonumber(due) > tonumber(ARGV[3]) then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) end
end
if ARGV[4] ~= '' then announce(KEYS[4], ARGV[1], ARGV[4], last, now) end
return {first, now}
