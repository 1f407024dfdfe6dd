-- Moves pending entries of a dead host to another; two peers never get the same. The consumer goes with its last entry.
-- KEYS: 1 workflows or resumes (stream)
-- ARGV: dead host, this host, most
-- Returns {entry id, workflow id, …}
local found = {}
local pending = redis.call('XPENDING', KEYS[1], 'coordinators', '-', '+', ARGV[3], ARGV[1])
for _, row in ipairs(pending) do
  local entry = redis.call('XCLAIM', KEYS[1], 'coordinators', ARGV[2], 0, row[1])[1]
  if entry then
    found[#found + 1] = entry[1]
    found[#found + 1] = entry[2][2]
  else
    redis.call('XACK', KEYS[1], 'coordinators', row[1])
  end
end
if #pending < tonumber(ARGV[3]) then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'coordinators', ARGV[1]) end
return found
