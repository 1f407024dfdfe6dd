-- Gives one delivery of a task to one agent instance, unless it is settled, superseded or held.
-- A task claimed more often than allowed fails as poison: it has taken that many agents with it.
-- Invariant 7: attempts are bounded, then people are asked once.
-- KEYS: 1 workflow (hash), 2 journal (stream), 3 events (stream)
-- ARGV: id, step, generation, number, agent, time limit ms, previous agent known dead or '', most claims
-- Returns {1, claimed ms} | {-4} drop it | {-5, holder} | {2, owner, seq} poison | {-1} gone
--- include answers
--- include now
--- include numbers
--- include task
--- include journal
local id, step, agent, previous, limit, most = ARGV[1], ARGV[2], ARGV[5], ARGV[7], numbers(6, 8)
local record, paused, state = unpack(redis.call('HMGET', KEYS[1], 't:' .. step, 'paused', 'state'))
local task = parse_task(record)
if not task then return {GONE} end
if paused and task.agent ~= agent then return {DUPLICATE} end -- it is queued again when the workflow is resumed
if task.generation ~= ARGV[3] or task.number ~= ARGV[4] or FINAL[state] then return {DUPLICATE} end
if task.state ~= 'q' and task.state ~= 'c' then return {DUPLICATE} end
if task.state == 'c' and task.agent ~= previous and task.agent ~= agent then return {HELD, task.agent} end
if task.state ~= 'c' or task.agent ~= agent then task.claims = task.claims + 1 end
if task.claims > most then
  task.state = 'f'
  write_task(KEYS[1], step, task)
  local message = 'This task ended ' .. (task.claims - 1) .. ' agents while they ran it, so it is not given to another.'
  local seq = append(KEYS[1], KEYS[2], now, cmsgpack.pack({'e', step, tonumber(task.generation),
    tonumber(task.number), task.agent, task.claimed, {kind = 'Poison', message = message, retryable = false}}))
  announce(KEYS[3], id, 'progressed', seq, now)
  return {2, redis.call('HGET', KEYS[1], 'owner') or '', seq}
end
task.state, task.agent, task.claimed, task.deadline = 'c', agent, now, now + limit
write_task(KEYS[1], step, task)
return {1, now}
