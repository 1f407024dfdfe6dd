-- Accepts a workflow exactly once: state, index and queue entry in one script.
-- Invariant 1: no accepted workflow is lost.
-- KEYS: 1 workflow (hash), 2 workflows (stream), 3 deadlines (zset), 4 events (stream)
-- ARGV: id, type, version, input JSON, most that may wait in the stream or 0 for a child, first look ms,
--   whole deadline ms or 0, waiting client or '', then further field, value …
-- Returns {1, now ms} accepted | {-4, state} there already | {-8, waiting} refused: the backlog is full
--- include answers
--- include now
--- include numbers
--- include journal
--- include waiters
local id, most, look, whole = ARGV[1], number(5), number(6), number(7)
local known = redis.call('HGET', KEYS[1], 'state')
if known then
  if ARGV[8] ~= '' and not is_final(known) then
    note_waiter(KEYS[1], redis.call('HGET', KEYS[1], 'waiters'), ARGV[8])
  end
  return {DUPLICATE, known}
end
if most > 0 then
  local waiting = redis.call('XLEN', KEYS[2])
  if waiting >= most then -- those that a host has taken are no backlog
    local pending = redis.pcall('XPENDING', KEYS[2], 'coordinators')
    if not pending.err then waiting = waiting - pending[1] end
  end
  if waiting >= most then return {REFUSED, waiting} end
end
local entry = redis.call('XADD', KEYS[2], '*', 'w', id)
local fields = {'type', ARGV[2], 'version', ARGV[3], 'state', 'queued', 'input', ARGV[4], 'epoch', 0, 'seq', 0, 'owner', '',
  'open', 0, 'entry', 'w' .. entry, 'created', now, unpack(ARGV, 9)}
if whole > 0 then fields[#fields + 1] = 'deadline'; fields[#fields + 1] = now + whole end
if ARGV[8] ~= '' then fields[#fields + 1] = 'waiters'; fields[#fields + 1] = ARGV[8] end
fields[#fields + 1] = 'told'
fields[#fields + 1] = announce_once(KEYS[4], nil, nil, id, 'submitted', 0, now)
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('ZADD', KEYS[3], now + look, id)
return {1, now}
