local GONE, STALE, FINISHED, DUPLICATE, HELD, CONFLICT, UNREAD, REFUSED = -1, -2, -3, -4, -5, -6, -7, -8
local function is_final(state) return state == 'completed' or state == 'failed' or state == 'cancelled' end
