-- Closes an open escalation whose workflow ends or goes on without it.
-- Invariant 2: no step is applied by two epochs.
-- KEYS: 1 workflow (hash), 2 escalation (hash), 3 escalation_queue (stream), 4 events (stream)
-- ARGV: id, escalation id, epoch
-- Returns 1 | -4 not open | -2 another epoch | -1 gone
--- include answers
--- include now
--- include state
local epoch, running, owner, paused = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'state', 'owner', 'paused'))
if not epoch then return GONE end
if epoch ~= ARGV[3] then return STALE end
local state, version, entry = unpack(redis.call('HMGET', KEYS[2], 'state', 'version', 'entry'))
if state ~= 'open' then return DUPLICATE end
redis.call('HSET', KEYS[2], 'state', 'withdrawn', 'version', tonumber(version) + 1, 'resolved', now)
redis.call('XDEL', KEYS[3], entry)
if redis.call('HINCRBY', KEYS[1], 'open', -1) == 0 and not is_final(running) then
  redis.call('HSET', KEYS[1], 'state', shown(paused, '0', owner == '' and 'queued' or 'running'))
end
redis.call('XADD', KEYS[4], '*', 'w', ARGV[1], 'k', 'decided', 'q', redis.call('HGET', KEYS[1], 'seq'), 'x', ARGV[2],
  't', now)
return 1
