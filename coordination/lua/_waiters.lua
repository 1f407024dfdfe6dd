-- Adds a client to those that are told of a workflow's end, once however often it asks.
local function note_waiter(workflow, waiters, client)
  local known = waiters or ''
  if not string.find(' ' .. known .. ' ', ' ' .. client .. ' ', 1, true) then
    redis.call('HSET', workflow, 'waiters', known .. ' ' .. client)
  end
end
