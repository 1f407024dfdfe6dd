-- Appends one entry and returns its number. Needs _journal.lua.
local function append(workflow, journal, now, blob)
  local seq = redis.call('HINCRBY', workflow, 'seq', 1)
  write(journal, seq, now, blob)
  return seq
end
-- Tells the relay that a workflow has changed.
local function announce(events, id, kind, seq, now)
  redis.call('XADD', events, '*', 'w', id, 'k', kind, 'q', seq, 't', now)
end
