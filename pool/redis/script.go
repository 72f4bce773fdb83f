package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed lua/guard.lua
var guardLua string

//go:embed lua/append.lua
var appendLua string

//go:embed lua/trim.lua
var trimLua string

//go:embed lua/forget.lua
var forgetLua string

//go:embed lua/candidate.lua
var candidateLua string

//go:embed lua/settled.lua
var settledLua string

//go:embed lua/apply.lua
var applyLua string

//go:embed lua/undo.lua
var undoLua string

//go:embed lua/lease.lua
var leaseLua string

//go:embed lua/window.lua
var windowLua string

//go:embed lua/report.lua
var reportLua string

// run executes a script behind the guard, which is KEYS[1] = meta, ARGV[1] = identity; the script's own
// keys and arguments follow from KEYS[2] and ARGV[2].
func (p *Pool) run(ctx context.Context, src string, keys []string, args ...any) (any, error) {
	k := append(make([]string, 0, len(keys)+1), p.k.meta())
	a := append(make([]any, 0, len(args)+1), p.identity)
	v, err := goredis.NewScript(guardLua+src).Run(ctx, p.r.client, append(k, keys...), append(a, args...)...).Result()
	if err != nil && strings.HasPrefix(err.Error(), "WRONGSERVER") {
		return nil, fmt.Errorf("pool %s: %w", p.id, ErrWrongServer)
	}
	return v, err
}

// answer runs a script that returns a list of strings.
func (p *Pool) answer(ctx context.Context, src string, keys []string, args ...any) ([]any, error) {
	v, err := p.run(ctx, src, keys, args...)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("script returned %T, want a list", v)
	}
	return list, nil
}
