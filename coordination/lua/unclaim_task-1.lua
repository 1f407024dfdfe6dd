-- Takes back a claim that its agent could not finish, as if it had never been made.
-- KEYS: 1 workflow (hash)
-- ARGV: step, generation, number, agent
-- Returns 1 | -2 not held by this agent | -1 gone
--- include answers
--- include task
local task = read_task(KEYS[1], ARGV[1])
if not task then return GONE end
if task.state ~= 'c' or task.generation ~= ARGV[2] or task.number ~= ARGV[3] or task.agent ~= ARGV[4] then
  return STALE
end
task.state, task.claims, task.claimed, task.deadline, task.agent = 'q', task.claims - 1, 0, 0, ''
write_task(KEYS[1], ARGV[1], task)
return 1
