-- Appends one entry and returns its number. The stream id is the number, so that order is plain.
local function append(workflow, journal, now, blob)
  local seq = redis.call('HINCRBY', workflow, 'seq', 1)
  redis.call('XADD', journal, seq .. '-0', 'e', blob, 't', string.format('%.0f', now))
  return seq
end
local function announce(events, id, kind, seq, now)
  redis.call('XADD', events, '*', 'w', id, 'k', kind, 'q', seq, 't', string.format('%.0f', now))
end
