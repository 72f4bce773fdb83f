-- Tell edges what their journals need not keep any more.
-- KEYS 2 released (hash)   ARGV from 2: field, sequence …
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
return 1
