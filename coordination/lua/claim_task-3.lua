-- Gives one delivery of a task to one agent instance, unless it is settled, superseded or held.
-- A task claimed more often than allowed fails as poison: it has taken that many agents with it.
-- Invariant 7: attempts are bounded, then people are asked once.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 events (stream)
-- ARGV: id, step, generation, number, agent, time limit ms, previous agent known dead or '', most claims
-- Returns {1, claimed ms} | {-4} drop it | {-5, holder} | {2, owner, seq} poison | {-1} gone
--- include answers
--- include now
--- include numbers
local id, step, agent, previous, limit, most = ARGV[1], ARGV[2], ARGV[5], ARGV[7], number(6), number(8)
local field = 't:' .. step
local record, paused, state = unpack(redis.call('HMGET', KEYS[1], field, 'paused', 'state'))
if not record then return {GONE} end
local generation, attempt, is, claims, claimed, deadline, holder =
  string.match(record, '^(%d+):(%d+):(%a):(%d+):(%d+):(%d+):(.*)$') -- see _task.lua
if paused and holder ~= agent then return {DUPLICATE} end -- it is queued again when the workflow is resumed
if generation ~= ARGV[3] or attempt ~= ARGV[4] or is_final(state) then return {DUPLICATE} end
if is ~= 'q' and is ~= 'c' then return {DUPLICATE} end
if is == 'c' and holder ~= previous and holder ~= agent then return {HELD, holder} end
if is ~= 'c' or holder ~= agent then claims = claims + 1 end
if tonumber(claims) > most then
--- include journal
--- include append
  redis.call('HSET', KEYS[1], field, table.concat({generation, attempt, 'f', claims, claimed, deadline, holder}, ':'))
  local message = 'This task ended ' .. (claims - 1) .. ' agents while they ran it, so it is not given to another.'
  local seq = append(KEYS[1], KEYS[2], now, cmsgpack.pack({'e', step, tonumber(generation), tonumber(attempt), holder,
    tonumber(claimed), {kind = 'Poison', message = message, retryable = false}}))
  announce(KEYS[3], id, 'progressed', seq, now)
  return {2, redis.call('HGET', KEYS[1], 'owner') or '', seq}
end
redis.call('HSET', KEYS[1], field,
  generation .. ':' .. attempt .. ':c:' .. claims .. ':' .. now .. ':' .. now + limit .. ':' .. agent)
return {1, now}
