-- Delete the blocks that the ledger has committed.
-- KEYS 2 streams (hash), 3 stream
-- ARGV 2 stream's field in streams, 3 last committed sequence, 4 the one after it, 5 ms until an empty
-- stream goes
-- A stream that ends before what is committed was rolled back (failover, restored file): the edge may have
-- dropped the blocks between, so it is dropped and starts again at the edge's oldest block.
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('HDEL', KEYS[2], ARGV[2])
  return 'gone'
end
local last = ''
local info = redis.call('XINFO', 'STREAM', KEYS[3])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then
    last = string.match(info[i + 1], '^(%d+)%-') or ''
  end
end
-- decimal texts without leading zeros compare by length, then by digits
if #last < #ARGV[3] or (#last == #ARGV[3] and last < ARGV[3]) then
  redis.call('DEL', KEYS[3])
  redis.call('HDEL', KEYS[2], ARGV[2])
  return 'dropped'
end
redis.call('XTRIM', KEYS[3], 'MINID', ARGV[4] .. '-0')
if redis.call('XLEN', KEYS[3]) == 0 then
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
end
return 'trimmed'
