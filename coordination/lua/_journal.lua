-- Writes the entry of a number that the caller stores as the workflow's seq. The stream id is the number, so that
-- order is plain.
local function write(journal, seq, now, blob)
  redis.call('XADD', journal, string.format('%.0f-0', seq), 'e', blob, 't', string.format('%.0f', now))
end
-- Appends one entry and returns its number.
local function append(workflow, journal, now, blob)
  local seq = redis.call('HINCRBY', workflow, 'seq', 1)
  write(journal, seq, now, blob)
  return seq
end
local function announce(events, id, kind, seq, now)
  redis.call('XADD', events, '*', 'w', id, 'k', kind, 'q', seq, 't', string.format('%.0f', now))
end
