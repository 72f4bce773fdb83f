-- Take back a part of a step that will not be finished.
-- KEYS 2 head, 3 balances, 4 pending   ARGV 2 step, then account, pending change, its opposite …
-- From the first part on the step is called 'undo', so that nobody continues what is partly taken back.
-- Without accounts left over the step itself is forgotten.
local step = redis.call('HGET', KEYS[2], 'step')
if step ~= ARGV[2] and step ~= 'undo' then
  return {'step'}
end
redis.call('HSET', KEYS[2], 'step', 'undo')
for i = 3, #ARGV, 3 do
  if redis.call('HGET', KEYS[4], ARGV[i]) == ARGV[i + 1] then
    redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 2])
    redis.call('HDEL', KEYS[4], ARGV[i])
  end
end
if redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('HDEL', KEYS[2], 'step', 'done')
end
return {'ok'}
