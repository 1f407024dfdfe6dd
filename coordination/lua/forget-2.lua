-- Lets a finished workflow leave Redis once the history has mirrored its last entry.
-- Invariant 10: the history equals the events.
-- KEYS: 1 workflow (hash), 2 journal (stream)
-- ARGV: last seq in the history, seconds the result stays, seconds an idempotency key stays
-- Returns 1 | -1 gone already | -7 not finished, not mirrored to its end, or a child not confirmed: kept
--- include answers
--- include numbers
local stays, keyed_stays = number(2), number(3)
local state, seq, parent, keyed = unpack(redis.call('HMGET', KEYS[1], 'state', 'seq', 'parent', 'key'))
if not state then return GONE end
if not is_final(state) or seq ~= ARGV[1] or parent then return UNREAD end
redis.call('DEL', KEYS[2])
local gone = {'input'}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.find(field, '^[tpg]:') then gone[#gone + 1] = field end
end
for first = 1, #gone, 1000 do
  redis.call('HDEL', KEYS[1], unpack(gone, first, math.min(first + 999, #gone)))
end
if keyed then stays = math.max(stays, keyed_stays) end
redis.call('EXPIRE', KEYS[1], stays)
return 1
