-- Ends a workflow under the writer's epoch, unless its journal holds what the host has not read.
-- Invariant 2: no step is applied by two epochs.
-- Invariant 4: accepted results, signals and decisions survive a takeover.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 workflows (stream), 4 resumes (stream), 5 deadlines (zset), 6 events (stream),
--   7 events seen (zset)
-- ARGV: id, epoch, last seq read, state, result JSON or '', error JSON or '', journal entry, what stands before a client in the
--   key of its inbox or '', most entries there, seconds that an inbox made anew stays, field, value …
-- Returns {1, waiting clients to be told, parent id, now ms} | {-1} | {-2} | {-7}
--- include answers
--- include now
--- include journal
--- include state
--- include resume
--- include fields
--- include wake
local epoch, seq, entry, parent, waiters, state, told =
  unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'entry', 'parent', 'waiters', 'state', 'told'))
if not epoch then return {GONE} end
if epoch ~= ARGV[2] then return {STALE} end
if is_final(state) then return {1, '', parent or '', now} end -- this host's own end, whose answer was lost
if seq ~= ARGV[3] then return {UNREAD} end
let_go({w = KEYS[3], r = KEYS[4]}, entry)
seq = seq + 1
local fields = {'state', ARGV[4], 'owner', '', 'entry', '', 'finished', now, 'seq', seq,
  'told', announce_once(KEYS[6], KEYS[7], told, ARGV[1], 'finished', seq, now),
  slice(11, #ARGV)}
if ARGV[5] ~= '' then fields[#fields + 1] = 'result'; fields[#fields + 1] = ARGV[5] end
if ARGV[6] ~= '' then fields[#fields + 1] = 'error'; fields[#fields + 1] = ARGV[6] end
redis.call('HSET', KEYS[1], unpack(fields))
store_rest(KEYS[1], 11, #ARGV)
write(KEYS[2], seq, now, ARGV[7])
if parent then
  redis.call('ZADD', KEYS[5], now + 1000, ARGV[1])
else
  redis.call('ZREM', KEYS[5], ARGV[1])
end
local untold = ''
if waiters then
  local result = ARGV[5] ~= '' and {'r', ARGV[5]} or {}
  redis.call('HDEL', KEYS[1], 'waiters')
  for client in string.gmatch(waiters, '%S+') do
    local left = wake(ARGV[8], ARGV[9], client, ARGV[1], unpack(result))
    if left == '' then
      redis.call('EXPIRE', ARGV[8] .. client, ARGV[10], 'NX') -- whoever waited may have gone, and nobody reads it
    else
      untold = untold .. ' ' .. left
    end
  end
end
return {1, untold, parent or '', now}
