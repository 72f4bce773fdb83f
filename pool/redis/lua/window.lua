-- Put a complete new window in place of the one before.
-- KEYS 2 window, 3 the new one
redis.call('RENAME', KEYS[3], KEYS[2])
redis.call('PERSIST', KEYS[2])
return 1
