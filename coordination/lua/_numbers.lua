-- The numbers at these places of ARGV. Called before anything is written, because Lua undoes nothing when it fails.
local function numbers(...)
  local found = {}
  for _, place in ipairs({...}) do
    found[#found + 1] = assert(tonumber(ARGV[place]), 'argument ' .. place .. ' is no number')
  end
  return unpack(found)
end
