-- Statistics: bounded sums over time, highest values, and who was there. Never money.
-- KEYS 2… hashes and sorted sets   ARGV from 2: key number, operation, x, y, z …
--   set     field x to y
--   setnx   field x to y unless it is there
--   sum     field x by y
--   max     field x to y if that is higher
--   ring    field x holds "stamp value": z is added to the value of stamp y; a newer stamp starts anew, an
--           older one is too late
--   zadd    member y with score x
--   zcut    drop members with scores up to x, and the lowest up to rank y when it is given
--   expire  in x ms
for i = 2, #ARGV, 5 do
  local key, op, x, y, z = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if op == 'ring' then
    local old = redis.call('HGET', key, x)
    local at, sum
    if old then
      at, sum = string.match(old, '^(%d+) (.+)$')
    end
    if at == y then
      z = string.format('%.15g', tonumber(sum) + tonumber(z))
    end
    if not at or tonumber(y) >= tonumber(at) then
      redis.call('HSET', key, x, y .. ' ' .. z)
    end
  elseif op == 'set' then
    redis.call('HSET', key, x, y)
  elseif op == 'setnx' then
    redis.call('HSETNX', key, x, y)
  elseif op == 'sum' then
    redis.call('HINCRBYFLOAT', key, x, y)
  elseif op == 'max' then
    local old = redis.call('HGET', key, x)
    if not old or tonumber(y) > tonumber(old) then
      redis.call('HSET', key, x, y)
    end
  elseif op == 'zadd' then
    redis.call('ZADD', key, x, y)
  elseif op == 'zcut' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', x)
    if y ~= '' then
      redis.call('ZREMRANGEBYRANK', key, 0, y)
    end
  elseif op == 'expire' then
    redis.call('PEXPIRE', key, x)
  end
end
return 1
