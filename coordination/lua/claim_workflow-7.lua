-- Gives a workflow to a host under the next epoch, with all it needs to replay.
-- Invariant 2: no step is applied by two epochs.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 workflows (stream), 4 resumes (stream), 5 deadlines (zset), 6 events (stream),
--   7 events seen (zset)
-- ARGV: id, host, entry ('w' or 'r' and its id), owner known dead or '', look ms
-- Returns {1, now ms, epoch, fields of the hash, journal} | {-1} | {-3, fields} finished | {-5, owner} held by another by this
--   very entry | {-5, ''} held by another, which has a newer entry: this one is dropped
--- include answers
--- include now
--- include numbers
--- include journal
--- include append
--- include state
--- include resume
local id, host, streams, look = ARGV[1], ARGV[2], {w = KEYS[3], r = KEYS[4]}, number(5)
local state, owner, epoch, held, open, seq, started, parked, paused, told = unpack(redis.call('HMGET', KEYS[1],
  'state', 'owner', 'epoch', 'entry', 'open', 'seq', 'started', 'parked', 'paused', 'told'))
if not state then
  let_go(streams, ARGV[3])
  redis.call('ZREM', KEYS[5], id)
  return {GONE}
end
if is_final(state) then
  let_go(streams, ARGV[3])
  return {FINISHED, redis.call('HGETALL', KEYS[1])}
end
if owner ~= '' and owner ~= host and owner ~= ARGV[4] then
  if held == ARGV[3] then return {HELD, owner} end
  let_go(streams, ARGV[3])
  return {HELD, ''}
end
if held ~= ARGV[3] then let_go(streams, held or '') end
epoch = tonumber(epoch) + 1
if epoch > 1 then
  local cause = 'resume'
  if owner ~= '' then
    cause = 'takeover'
    if seq == redis.call('HGET', KEYS[1], 'seen') then redis.call('HINCRBY', KEYS[1], 'stalls', 1) else redis.call('HSET', KEYS[1], 'stalls', 0) end
    redis.call('HSET', KEYS[1], 'seen', seq + 1)
  end
  seq = append(KEYS[1], KEYS[2], now, cmsgpack.pack({'h', epoch, host, owner, cause}))
end
told = announce_once(KEYS[6], KEYS[7], told, id, epoch > 1 and 'taken_up' or 'started', seq, now)
redis.call('HSET', KEYS[1], 'told', told, 'state', shown(paused, open, 'running'), 'owner', host, 'epoch', epoch,
  'entry', ARGV[3], 'started', started or now)
if parked then redis.call('HDEL', KEYS[1], 'parked') end
redis.call('ZADD', KEYS[5], now + look, id)
local journal = {}
if tonumber(seq) > 0 then journal = redis.call('XRANGE', KEYS[2], '-', '+') end
return {1, now, epoch, redis.call('HGETALL', KEYS[1]), journal}
