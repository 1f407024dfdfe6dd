-- Delivers at most so many tasks of one type to a consumer, from the first queue to the last, and claims for it what nothing
-- stands against, where one server holds every key. An attempt that was claimed before is left to claim_task, which counts.
-- Invariant 7: attempts are bounded, then people are asked once.
-- KEYS: 1 the instance's own queue, 2 high, 3 normal, 4 low (streams with a group)
-- ARGV: group, consumer, most entries, the task type that is claimed, or ''
-- Returns {error text or '', {key number, {{id, fields, ms of the claim or 0}, ...}}, ...}; what was delivered before an error is
--   returned too
--- include answers
local left, found = tonumber(ARGV[3]), {''}
for index, key in ipairs(KEYS) do
  if left <= 0 then break end
  local reply = redis.pcall('XLEN', key) ~= 0 and -- most queues are empty, which this tells for less
    redis.pcall('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', left, 'STREAMS', key, '>')
  if type(reply) == 'table' and reply.err then
    found[1] = reply.err
    break
  end
  if reply and reply[1] then
    found[#found + 1] = {index, reply[1][2]}
    left = left - #reply[1][2]
  end
end
if not found[2] then return found end
--- include now
-- The fields of an entry are those of a task without requirements, see fields() in coordination/tasks.py.
local function claim(entry)
  if ARGV[4] == '' or #entry ~= 6 or entry[1] ~= 'k' or entry[3] ~= 't' or entry[5] ~= 'p' then return 0 end
  local generation, number, limit, step, wanted = string.match(entry[4], '^(%d+):(%d+):(%d+):([^:]*):(.*)$')
  if wanted ~= ARGV[4] then return 0 end
  local attempt, field = generation .. ':' .. number, 't:' .. step
  local held = redis.pcall('HMGET', entry[2], field, 'paused', 'state')
  if held.err or held[1] ~= attempt .. ':q:0:0:0:' or held[2] or is_final(held[3]) then return 0 end -- see _task.lua
  redis.call('HSET', entry[2], field, attempt .. ':c:1:' .. now .. ':' .. now + limit .. ':' .. ARGV[2])
  return now
end
for index = 2, #found do
  for _, delivered in ipairs(found[index][2]) do delivered[3] = claim(delivered[2]) end
end
return found
