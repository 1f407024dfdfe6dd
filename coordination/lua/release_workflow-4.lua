-- Hands a workflow over at once: it is queued again for any host, or after a delay.
-- Invariant 2: no step is applied by two epochs.
-- KEYS: 1 workflow (hash), 2 workflows (stream), 3 resumes (stream), 4 deadlines (zset)
-- ARGV: id, epoch, delay ms
-- Returns 1 | -1 | -2 another epoch writes now, or it has ended
--- include answers
--- include now
--- include numbers
--- include state
--- include resume
local delay = number(3)
local epoch, entry, open, paused, state =
  unpack(redis.call('HMGET', KEYS[1], 'epoch', 'entry', 'open', 'paused', 'state'))
if not epoch then return GONE end
if epoch ~= ARGV[2] or is_final(state) then return STALE end
let_go({w = KEYS[2], r = KEYS[3]}, entry)
redis.call('HSET', KEYS[1], 'owner', '', 'parked', 1, 'entry', '')
if delay > 0 then
  redis.call('HSET', KEYS[1], 'state', shown(paused, open, 'queued'))
  redis.call('ZADD', KEYS[4], now + delay, ARGV[1])
else
  resume(KEYS[1], KEYS[3], KEYS[4], ARGV[1], now, 30000)
end
return 1
