package redis

import (
	"context"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// counter counts the commands that are sent; a script is one.
type counter struct{ sent atomic.Uint64 }

// Commands is how many commands were sent on this connection so far.
func (r *Redis) Commands() uint64 { return r.count.sent.Load() }

// DialHook implements goredis.Hook.
func (c *counter) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook implements goredis.Hook.
func (c *counter) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		c.sent.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (c *counter) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		c.sent.Add(uint64(len(cmds)))
		return next(ctx, cmds)
	}
}
