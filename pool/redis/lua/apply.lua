-- Mirror one chunk of a step from one ledger head to a later one.
-- KEYS 2 head, 3 balances, 4 pending, 5 document sets, 6… lists of accounts, one a row, then docs and ranks,
--      and hashes of entries
-- ARGV 2 head before ('' for an empty ledger), 3 head after, 4 step, 5 chunk from 0, 6 '1' for the last
--      chunk, 7 number of changes, 8 of rows, 9 rows that a list keeps, 10 the layout; then field, change …; then rank,
--      member …; then 'doc', key number of docs, set, id, rank, body or 'entry', key number, id, entry …
-- Returns {'ok'}, {'layout'} when the mirror has another one, or {'head', the head here}, {'step', the step in hand}, {'chunk', the chunk wanted}.
--
-- Amounts are texts from end to end and only HINCRBY adds them: a Lua number would round above 2^53.
-- Until the last chunk the changes also stand in pending, and readers take them off again.
-- The layout is noted with the head, so that a version of the program that knows none gives itself away.
local at = redis.call('HGET', KEYS[2], 'at') or ''
if at ~= '' and redis.call('HGET', KEYS[2], 'layout') ~= ARGV[10] .. ' ' .. at then
  return {'layout'}
end
if at == ARGV[3] then
  return {'ok'}
end
if at ~= ARGV[2] then
  return {'head', at}
end
local step = redis.call('HGET', KEYS[2], 'step')
local done = '0'
if step then
  if step ~= ARGV[4] then
    return {'step', step}
  end
  done = redis.call('HGET', KEYS[2], 'done')
end
local chunk = tonumber(ARGV[5])
if chunk < tonumber(done) then
  return {'ok'}
end
if chunk > tonumber(done) then
  return {'chunk', done}
end
local final = ARGV[6] == '1'
local i = 11
local changes = i + 2 * tonumber(ARGV[7])
if not final then -- an account comes once in a step
  for from = i, changes - 1, 500 do
    redis.call('HSET', KEYS[4], unpack(ARGV, from, math.min(from + 499, changes - 1)))
  end
end
while i < changes do
  redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 1])
  i = i + 2
end
local older = -1 - tonumber(ARGV[9])
for row = 1, tonumber(ARGV[8]) do
  local list = KEYS[5 + row]
  redis.call('ZADD', list, ARGV[i], ARGV[i + 1])
  redis.call('ZREMRANGEBYRANK', list, 0, older)
  i = i + 2
end
while i <= #ARGV do
  local key = tonumber(ARGV[i + 1])
  if ARGV[i] == 'doc' then
    redis.call('SADD', KEYS[5], ARGV[i + 2])
    redis.call('HSET', KEYS[key], ARGV[i + 3], ARGV[i + 5])
    redis.call('ZADD', KEYS[key + 1], ARGV[i + 4], ARGV[i + 3])
    i = i + 6
  else
    redis.call('HSET', KEYS[key], ARGV[i + 2], ARGV[i + 3])
    i = i + 4
  end
end
if final then
  redis.call('HSET', KEYS[2], 'at', ARGV[3], 'layout', ARGV[10] .. ' ' .. ARGV[3])
  redis.call('HDEL', KEYS[2], 'step', 'done')
  redis.call('UNLINK', KEYS[4])
else
  redis.call('HSET', KEYS[2], 'step', ARGV[4], 'done', string.format('%d', chunk + 1))
end
return {'ok'}
