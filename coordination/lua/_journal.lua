-- Writes the entry of a number that the caller stores as the workflow's seq. The stream id is the number, so that
-- order is plain.
local function write(journal, seq, now, blob)
  redis.call('XADD', journal, seq .. '-0', 'e', blob, 't', now)
end
-- Tells the relay that a workflow has changed, but not when an event that it has yet to fetch tells of the workflow: it
-- reads the whole of it only after it has fetched. Returns the field told: the ms in the id of the workflow's last event.
local function announce_once(events, seen, told, id, kind, seq, now)
  if told and tonumber(told) > tonumber(redis.call('ZSCORE', seen, 'ms') or 0) then return told end
  return string.match(redis.call('XADD', events, '*', 'w', id, 'k', kind, 'q', seq, 't', now), '^%d+')
end
