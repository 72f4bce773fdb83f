-- Take streams that are gone off the list.
-- KEYS 2 streams (hash), 3… streams   ARGV from 2: their fields in streams, in the same order
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('HDEL', KEYS[2], ARGV[i - 1])
  end
end
return 1
