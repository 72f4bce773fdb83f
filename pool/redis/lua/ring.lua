-- Statistics: bounded sums over time and highest values. Never money.
-- KEYS 2… hashes   ARGV from 2: key number, field, stamp, value …
-- With a stamp the field holds "stamp value" and sums the values of that stamp; a newer stamp starts anew,
-- an older one is too late. Without a stamp the field keeps the highest value.
for i = 2, #ARGV, 4 do
  local key, field, stamp, value = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local old = redis.call('HGET', key, field)
  if stamp == '' then
    if not old or tonumber(value) > tonumber(old) then
      redis.call('HSET', key, field, value)
    end
  else
    local at, sum
    if old then
      at, sum = string.match(old, '^(%d+) (.+)$')
    end
    if at == stamp then
      value = string.format('%.15g', tonumber(sum) + tonumber(value))
    end
    if not at or tonumber(stamp) >= tonumber(at) then
      redis.call('HSET', key, field, stamp .. ' ' .. value)
    end
  end
end
return 1
