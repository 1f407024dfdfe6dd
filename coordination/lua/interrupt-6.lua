-- Puts an entry into a live workflow's journal after which its owner must not go on: the epoch rises, so that every
-- write of that owner is refused, and any host takes the workflow up from its journal.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 workflows (stream), 4 resumes (stream), 5 deadlines (zset), 6 events (stream)
-- ARGV: id, dedupe field, journal entry, seq that the caller has read or '' for any, look ms, 1 when it ends a pause,
--   generation that begins or '', steps whose tasks are withdrawn …
-- Returns {1, owner, seq, now ms} | {-1} | {-3} finished | {-4} accepted before | {-7} the journal has grown since
--   it was read | {-8} it is being cancelled, and a generation cannot begin
--- include answers
--- include now
--- include numbers
--- include journal
--- include append
--- include task
--- include state
--- include resume
local look = number(5)
local state, owner, entry, seq = unpack(redis.call('HMGET', KEYS[1], 'state', 'owner', 'entry', 'seq'))
if not state then return {GONE} end
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then return {DUPLICATE} end
if is_final(state) then return {FINISHED} end
if ARGV[4] ~= '' and ARGV[4] ~= seq then return {UNREAD} end
if ARGV[7] ~= '' then
  if redis.call('HEXISTS', KEYS[1], 'cancelled') == 1 then return {REFUSED} end
  redis.call('HSET', KEYS[1], 'generation', ARGV[7])
end
for index = 8, #ARGV do
  local task = read_task(KEYS[1], ARGV[index])
  if task then
    task.state = 'x'
    write_task(KEYS[1], ARGV[index], task)
    redis.call('HDEL', KEYS[1], 'p:' .. ARGV[index])
  end
end
let_go({w = KEYS[3], r = KEYS[4]}, entry)
if ARGV[6] == '1' then unpause(KEYS[1]) end
redis.call('HSET', KEYS[1], ARGV[2], 1, 'owner', '', 'parked', 1, 'entry', '')
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
seq = append(KEYS[1], KEYS[2], now, ARGV[3])
resume(KEYS[1], KEYS[4], KEYS[5], ARGV[1], now, look)
announce(KEYS[6], ARGV[1], 'progressed', seq, now)
return {1, owner, seq, now}
