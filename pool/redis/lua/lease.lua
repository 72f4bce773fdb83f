-- A lease with a fencing token that only grows.
-- KEYS 2 lease, 3 last token   ARGV 2 'acquire', 'renew' or 'release', 3 owner, 4 token, 5 ms to live
-- Returns {token}, or {'0', owner} when another has it. The owner may acquire again: the new token fences
-- off what it started before.
local now = redis.call('HMGET', KEYS[2], 'owner', 'token')
if ARGV[2] ~= 'acquire' then
  if now[1] ~= ARGV[3] or now[2] ~= ARGV[4] then
    return {'0', now[1] or ''}
  end
  if ARGV[2] == 'release' then
    redis.call('DEL', KEYS[2])
  else
    redis.call('PEXPIRE', KEYS[2], ARGV[5])
  end
  return {now[2]}
end
if now[1] and now[1] ~= ARGV[3] then
  return {'0', now[1]}
end
-- A lost counter starts again at the time in microseconds, above every token given before: takeovers are
-- rarer than one a microsecond.
if redis.call('EXISTS', KEYS[3]) == 0 then
  local time = redis.call('TIME')
  redis.call('SET', KEYS[3], time[1] .. string.rep('0', 6 - #time[2]) .. time[2])
end
redis.call('INCR', KEYS[3])
local token = redis.call('GET', KEYS[3])
redis.call('HSET', KEYS[2], 'owner', ARGV[3], 'token', token)
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return {token}
