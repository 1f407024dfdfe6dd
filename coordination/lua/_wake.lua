-- Wakes a host or a client in the script that has news for it, where one server holds every key. What such a script names
-- beside KEYS is not declared, which only a cluster asks for. Returns whom the caller has to wake.
local function wake(inboxes, most, who, id, ...)
  if inboxes == '' or who == '' then return who end
  local told = redis.pcall('XADD', inboxes .. who, 'MAXLEN', '~', most, '*', 'w', id, ...)
  return type(told) == 'table' and who or ''
end
