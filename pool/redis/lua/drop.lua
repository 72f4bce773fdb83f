-- Remove what Redis holds of a ledger that goes on from an older disk.
-- KEYS from 2: what is removed   ARGV 2 how many keys that are
for i = 2, ARGV[2] + 1 do
  redis.call('UNLINK', KEYS[i])
end
return 1
