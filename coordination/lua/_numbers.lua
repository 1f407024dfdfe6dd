-- The number at a place of ARGV. Called before anything is written, because Lua undoes nothing when it fails.
local function number(place) return tonumber(ARGV[place]) or error('argument ' .. place .. ' is no number') end
