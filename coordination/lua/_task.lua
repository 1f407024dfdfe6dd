-- A task's record, field t:<step> of its workflow: generation:number:state:claims:claimed_ms:deadline_ms:agent
-- States: q queued, c claimed, f attempt failed, s settled, x withdrawn.
local function parse_task(record)
  if not record then return nil end
  local generation, number, state, claims, claimed, deadline, agent =
    string.match(record, '^(%d+):(%d+):(%a):(%d+):(%d+):(%d+):(.*)$')
  return {generation = generation, number = number, state = state, claims = tonumber(claims),
    claimed = tonumber(claimed), deadline = tonumber(deadline), agent = agent}
end
local function read_task(workflow, step) return parse_task(redis.call('HGET', workflow, 't:' .. step)) end
local function task_record(task)
  return task.generation .. ':' .. task.number .. ':' .. task.state .. ':' .. task.claims .. ':' .. task.claimed ..
    ':' .. task.deadline .. ':' .. task.agent
end
local function write_task(workflow, step, task) redis.call('HSET', workflow, 't:' .. step, task_record(task)) end
