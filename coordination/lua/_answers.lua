local GONE, STALE, FINISHED, DUPLICATE, HELD, CONFLICT, UNREAD, REFUSED = -1, -2, -3, -4, -5, -6, -7, -8
local FINAL = {completed = true, failed = true, cancelled = true}
