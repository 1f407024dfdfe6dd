-- Whether a task's record, see _task.lua, says that its step is settled.
local function is_settled(record) return string.match(record or '', '^%d+:%d+:s') ~= nil end
