-- Histories: chunks changed by compare-and-set. Never money.
-- KEYS 2… hashes   ARGV from 2: key number, field, value it had ('' for none), new value, ms to live …
-- Answers the numbers, from 1, of those that had another value.
local lost, n = {}, 0
for i = 2, #ARGV, 5 do
  n = n + 1
  local key = KEYS[tonumber(ARGV[i])]
  if (redis.call('HGET', key, ARGV[i + 1]) or '') == ARGV[i + 2] then
    redis.call('HSET', key, ARGV[i + 1], ARGV[i + 3])
    redis.call('PEXPIRE', key, ARGV[i + 4])
  else
    lost[#lost + 1] = n
  end
end
return lost
