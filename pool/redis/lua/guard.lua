-- Stands before every script. KEYS[1] meta, ARGV[1] the identity of the server the caller means; for what
-- only the active ledger may write then a space, the token and the owner of its lease, which is the last key.
-- A server without identity was emptied (FLUSHALL, new disk): it becomes this one again.
local meant, fence = string.match(ARGV[1], '^(%S+) ?(.*)$')
local identity = redis.call('HGET', KEYS[1], 'identity')
if not identity then
  redis.call('HSET', KEYS[1], 'identity', meant, 'format', '$FORMAT')
elseif identity ~= meant then
  return redis.error_reply('WRONGSERVER another identity')
end
if fence ~= '' then
  local lease = redis.call('HMGET', KEYS[#KEYS], 'token', 'owner')
  if (lease[1] or '') .. ' ' .. (lease[2] or '') ~= fence then
    return redis.error_reply('LEASELOST another ledger is active')
  end
end
