-- Resolves an escalation exactly once and lets its workflow go on.
-- The same decision id gets the stored answer again; another gets a conflict.
-- Invariant 4: accepted results, signals and decisions survive a takeover.
-- Invariant 5: each escalation is opened once and resolved once.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 escalation (hash), 4 escalation_queue (stream), 5 resumes (stream),
--   6 deadlines (zset), 7 events (stream)
-- ARGV: id, escalation id, version, decision id, action, actor, journal entry, look ms
-- Returns {1, owner, seq, now ms} | {-4, action} this decision again | {-6, state, actor} | {-1} | {-3} workflow ended
--- include answers
--- include now
--- include numbers
--- include journal
--- include append
--- include state
--- include resume
local look = number(8)
local state, version, decision, actor, action, entry =
  unpack(redis.call('HMGET', KEYS[3], 'state', 'version', 'decision', 'actor', 'action', 'entry'))
if not state then return {GONE} end
if decision == ARGV[4] then return {DUPLICATE, action} end
if state ~= 'open' or version ~= ARGV[3] then return {CONFLICT, state, actor or ''} end
local running = redis.call('HGET', KEYS[1], 'state')
if not running or is_final(running) then return {FINISHED} end
redis.call('HSET', KEYS[3], 'state', 'resolved', 'version', tonumber(version) + 1, 'decision', ARGV[4], 'action', ARGV[5],
  'actor', ARGV[6], 'resolved', now)
redis.call('XDEL', KEYS[4], entry)
if redis.call('HINCRBY', KEYS[1], 'open', -1) == 0 then
  local owner, paused = unpack(redis.call('HMGET', KEYS[1], 'owner', 'paused'))
  redis.call('HSET', KEYS[1], 'state', shown(paused, '0', owner == '' and 'queued' or 'running'))
end
local seq = append(KEYS[1], KEYS[2], now, ARGV[7])
resume(KEYS[1], KEYS[5], KEYS[6], ARGV[1], now, look)
redis.call('XADD', KEYS[7], '*', 'w', ARGV[1], 'k', 'decided', 'q', seq, 'x', ARGV[2], 't', now)
return {1, redis.call('HGET', KEYS[1], 'owner') or '', seq, now}
