-- Queues a parked workflow to be taken up again; nothing happens to one that is not parked.
local function resume(workflow, resumes, deadlines, id, now, look)
  if redis.call('HDEL', workflow, 'parked') == 0 then return end
  local entry = redis.call('XADD', resumes, '*', 'w', id)
  local open, paused = unpack(redis.call('HMGET', workflow, 'open', 'paused'))
  redis.call('HSET', workflow, 'entry', 'r' .. entry, 'state', shown(paused, open, 'queued'))
  redis.call('ZADD', deadlines, now + look, id)
end
-- Takes the entry that a host held for a workflow off its stream.
local function let_go(streams, entry)
  local stream = streams[string.sub(entry, 1, 1)]
  if not stream then return end
  redis.call('XACK', stream, 'coordinators', string.sub(entry, 2))
  redis.call('XDEL', stream, string.sub(entry, 2))
end
