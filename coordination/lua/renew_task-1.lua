-- Extends the time limit of a claimed task and stores its progress.
-- KEYS: 1 workflow (hash)
-- ARGV: step, generation, number, agent, time limit ms, progress JSON or ''
-- Returns 1 renewed | -2 lost to another attempt or agent | -3 withdrawn, or the workflow has ended: stop working | -1 gone
--- include answers
--- include now
--- include numbers
--- include task
local step, limit = ARGV[1], number(5)
local record, state = unpack(redis.call('HMGET', KEYS[1], 't:' .. step, 'state'))
local task = parse_task(record)
if not task then return GONE end
if task.state == 'x' or is_final(state) then return FINISHED end
if task.state ~= 'c' or task.generation ~= ARGV[2] or task.number ~= ARGV[3] or task.agent ~= ARGV[4] then
  return STALE
end
task.deadline = now + limit
write_task(KEYS[1], step, task)
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'p:' .. step, ARGV[6]) end
return 1
