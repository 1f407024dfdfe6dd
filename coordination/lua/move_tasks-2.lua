-- Moves entries from one queue to another, or to its end, each once and none that changed hands.
-- Invariant 8: unacknowledged entries are never trimmed.
-- KEYS: 1 source (stream with a group), 2 destination (stream), which may be the same
-- ARGV: group, consumer that must hold them ('' for any, also undelivered ones), entry id, entry id ...
-- Returns how many were moved
for index = 3, #ARGV do assert(string.find(ARGV[index], '^%d+%-%d+$'), 'argument ' .. index .. ' is no id') end
local moved = 0
for index = 3, #ARGV do
  local id = ARGV[index]
  local mine = ARGV[2] == ''
  if not mine then
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
    mine = pending and pending[2] == ARGV[2]
  end
  if mine then
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    if entry then
      redis.call('XADD', KEYS[2], '*', unpack(entry[2]))
      moved = moved + 1
    end
    redis.call('XACK', KEYS[1], ARGV[1], id)
    redis.call('XDEL', KEYS[1], id)
  end
end
return moved
