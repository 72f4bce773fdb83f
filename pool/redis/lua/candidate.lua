-- Publish a found block once.
-- KEYS 2 candidates (stream), 3 ids (hash)   ARGV 2 block id, 3 candidate
local id = redis.call('HGET', KEYS[3], ARGV[2])
if id and #redis.call('XRANGE', KEYS[2], id, id) == 1 then
  return id
end
id = redis.call('XADD', KEYS[2], '*', 'h', ARGV[2], 'c', ARGV[3])
redis.call('HSET', KEYS[3], ARGV[2], id)
return id
