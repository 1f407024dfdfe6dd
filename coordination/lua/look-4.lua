-- Looks after one due member of the deadline index, so that no workflow strands.
-- Invariant 6: nothing strands.
-- KEYS: 1 workflow (hash), 2 workflows (stream), 3 resumes (stream), 4 deadlines (zset)
-- ARGV: id, look ms, live hosts between spaces
-- Returns {1} queued again | {2, owner} owned: it should read its journal | {3, fields} an ended child whose parent has
--   not confirmed | {4} still queued | {-1} gone
--- include answers
--- include now
--- include numbers
--- include state
--- include resume
local id, look = ARGV[1], number(2)
local state, owner, entry, parked, parent =
  unpack(redis.call('HMGET', KEYS[1], 'state', 'owner', 'entry', 'parked', 'parent'))
if not state or (is_final(state) and not parent) then
  redis.call('ZREM', KEYS[4], id)
  return {GONE}
end
redis.call('ZADD', KEYS[4], now + look, id)
if is_final(state) then return {3, redis.call('HGETALL', KEYS[1])} end
if parked then
  resume(KEYS[1], KEYS[3], KEYS[4], id, now, look)
  return {1}
end
if owner ~= '' and string.find(ARGV[3], ' ' .. owner .. ' ', 1, true) then return {2, owner} end
local stream = ({w = KEYS[2], r = KEYS[3]})[string.sub(entry, 1, 1)]
local where = string.sub(entry, 2)
if stream and #redis.call('XRANGE', stream, where, where) == 1 then
  redis.call('ZADD', KEYS[4], now + 3600000, id)
  return {4}
end
redis.call('HSET', KEYS[1], 'parked', 1, 'owner', '')
resume(KEYS[1], KEYS[3], KEYS[4], id, now, look)
return {1}
