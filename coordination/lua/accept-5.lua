-- Accepts input from outside into a live workflow's journal, once for each dedupe field.
-- Invariant 4: accepted results, signals and decisions survive a takeover.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 resumes (stream), 4 deadlines (zset), 5 events (stream)
-- ARGV: id, dedupe field or '', journal entry, event kind, look ms, 1 when it ends a pause
-- Returns {1, owner, seq, now ms} | {-1} | {-3} finished | {-4} accepted before
--- include answers
--- include now
--- include numbers
--- include journal
--- include append
--- include state
--- include resume
local look = number(5)
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return {GONE} end
if ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then return {DUPLICATE} end
if is_final(state) then return {FINISHED} end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], ARGV[2], 1) end
if ARGV[6] == '1' then unpause(KEYS[1]) end
local seq = append(KEYS[1], KEYS[2], now, ARGV[3])
resume(KEYS[1], KEYS[3], KEYS[4], ARGV[1], now, look)
announce(KEYS[5], ARGV[1], ARGV[4], seq, now)
return {1, redis.call('HGET', KEYS[1], 'owner') or '', seq, now}
