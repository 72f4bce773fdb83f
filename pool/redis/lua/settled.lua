-- Forget a candidate that the ledger has.
-- KEYS 2 candidates (stream), 3 ids (hash)   ARGV 2 message id
local found = redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2])
if #found == 1 then
  local block = found[1][2][2]
  if redis.call('HGET', KEYS[3], block) == ARGV[2] then
    redis.call('HDEL', KEYS[3], block)
  end
  redis.call('XDEL', KEYS[2], ARGV[2])
end
return ARGV[2]
