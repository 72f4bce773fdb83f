-- Take or keep an edge's name for one process, or give it back.
-- KEYS 2 holds (hash)   ARGV 2 edge, 3 process, 4 seconds to keep it, 0 to give it back
-- Returns {'ok'}, or {'held', process} when another has it.
local now = tonumber(redis.call('TIME')[1])
local held = redis.call('HGET', KEYS[2], ARGV[2])
if held then
  local till, by = string.match(held, '^(%d+) (.*)$')
  if by ~= ARGV[3] and tonumber(till) > now then
    return {'held', by}
  end
end
if ARGV[4] == '0' then
  redis.call('HDEL', KEYS[2], ARGV[2])
else
  redis.call('HSET', KEYS[2], ARGV[2], string.format('%d', now + tonumber(ARGV[4])) .. ' ' .. ARGV[3])
end
return {'ok'}
