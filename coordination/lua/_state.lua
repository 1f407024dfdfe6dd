-- The state of a live workflow: a pause covers an open escalation, which covers the rest.
local function shown(paused, open, otherwise)
  if paused then return 'paused' end
  if open ~= '0' then return 'needs_human' end
  return otherwise
end
-- Ends a pause; the state is what the workflow then is.
local function unpause(workflow)
  if redis.call('HDEL', workflow, 'paused') == 0 then return false end
  local open, owner = unpack(redis.call('HMGET', workflow, 'open', 'owner'))
  redis.call('HSET', workflow, 'state', shown(false, open, owner == '' and 'queued' or 'running'))
  return true
end
