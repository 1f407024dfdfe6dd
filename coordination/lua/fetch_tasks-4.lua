-- Delivers at most so many tasks of one type to a consumer, from the first queue to the last.
-- KEYS: 1 the instance's own queue, 2 high, 3 normal, 4 low (streams with a group)
-- ARGV: group, consumer, most entries
-- Returns {error text or '', {key number, {{id, fields}, ...}}, ...}; what was delivered before an error is returned too
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
return found
