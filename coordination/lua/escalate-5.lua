-- Opens an escalation together with the workflow's state, once for each escalation id.
-- Invariant 2: no step is applied by two epochs.
-- Invariant 4: accepted results, signals and decisions survive a takeover.
-- Invariant 5: each escalation is opened once and resolved once.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 escalation (hash), 4 escalation_queue (stream), 5 events (stream)
-- ARGV: id, epoch, escalation id, journal entry, task field or '', its value, last seq read,
--   escalation field, value …
-- Returns {seq, now ms} | {-1} | {-2} another epoch writes now, or it has ended | {-4} open already | {-7} the task is settled, perhaps by what has not been read: read the journal first
--- include answers
--- include now
--- include journal
--- include append
--- include settled
--- include state
local epoch, running, last = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'state', 'seq'))
if not epoch then return {GONE} end
if epoch ~= ARGV[2] or is_final(running) then return {STALE} end
if redis.call('EXISTS', KEYS[3]) == 1 then return {DUPLICATE} end
-- a result that was read and does not fit is a question for people; one that was not read may be the answer
if ARGV[5] ~= '' and last ~= ARGV[7] and is_settled(redis.call('HGET', KEYS[1], ARGV[5])) then return {UNREAD} end
local entry = redis.call('XADD', KEYS[4], '*', 'x', ARGV[3], 'w', ARGV[1])
redis.call('HSET', KEYS[3], 'state', 'open', 'version', 1, 'entry', entry, 'opened', now,
  unpack(ARGV, 8))
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], ARGV[5], ARGV[6]) end
redis.call('HINCRBY', KEYS[1], 'open', 1)
redis.call('HSET', KEYS[1], 'state', shown(redis.call('HGET', KEYS[1], 'paused'), '1'))
local seq = append(KEYS[1], KEYS[2], now, ARGV[4])
redis.call('XADD', KEYS[5], '*', 'w', ARGV[1], 'k', 'escalated', 'q', seq, 'x', ARGV[3], 't', now)
return {seq, now}
