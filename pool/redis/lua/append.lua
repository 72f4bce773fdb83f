-- Append journal blocks behind the one they follow, or say where the stream really ends.
-- KEYS 2 streams (hash), 3 stream
-- ARGV 2 stream's field in streams, 3 last id before, 4 ms until an empty stream goes, then for each block
--      its last id and itself; no block only asks
-- Returns the number of the stream's last id after the call, as text: numbers would pass through doubles.
--
-- The last id stands in two places: the stream itself, which keeps it through XTRIM and loses it with DEL
-- and FLUSHALL, and the hash, which only the scripts write. A stream that exists and does not
-- agree with the hash was written, restored or copied by somebody else and may have a hole: it is dropped,
-- and the edge sends again what it still has.
local last = '0'
if redis.call('EXISTS', KEYS[3]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[3])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = string.match(info[i + 1], '^(%d+)%-0$') or '?'
    end
  end
  if last ~= redis.call('HGET', KEYS[2], ARGV[2]) then
    redis.call('DEL', KEYS[3])
    redis.call('HDEL', KEYS[2], ARGV[2])
    last = '0'
  end
end
if last == ARGV[3] and #ARGV > 4 then
  for i = 5, #ARGV, 2 do
    redis.call('XADD', KEYS[3], ARGV[i] .. '-0', 'b', ARGV[i + 1])
  end
  last = ARGV[#ARGV - 1]
  redis.call('PERSIST', KEYS[3])
  redis.call('HSET', KEYS[2], ARGV[2], last)
elseif redis.call('PTTL', KEYS[3]) > 0 then
  redis.call('PEXPIRE', KEYS[3], ARGV[4]) -- empty, but its edge is alive
end
return last
