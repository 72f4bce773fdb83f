-- Stands before every script. KEYS[1] meta, ARGV[1] the identity of the server the caller means.
-- A server without identity was emptied (FLUSHALL, new disk): it becomes this one again.
local identity = redis.call('HGET', KEYS[1], 'identity')
if not identity then
  redis.call('HSET', KEYS[1], 'identity', ARGV[1], 'format', '1')
elseif identity ~= ARGV[1] then
  return redis.error_reply('WRONGSERVER another identity')
end
