-- Read chunks of histories, thousands of them in one call.
-- KEYS 2… hashes   ARGV from 2: key number, field …
-- Returns the fields' texts in the same order, '' for those that are not there.
local out = {}
for i = 2, #ARGV, 2 do
  out[#out + 1] = redis.call('HGET', KEYS[tonumber(ARGV[i])], ARGV[i + 1]) or ''
end
return out
