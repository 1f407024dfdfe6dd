-- A thousand values of ARGV at most, of those from one place to another: unpack takes no more than some 8,000.
local function slice(first, last) return unpack(ARGV, first, math.min(first + 999, last)) end
-- Stores the fields and values after the first such slice, which a script stores together with its own.
local function store_rest(key, first, last)
  for from = first + 1000, last, 1000 do redis.call('HSET', key, slice(from, last)) end
end
