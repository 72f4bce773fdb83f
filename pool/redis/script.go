package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/adit-pool/adit/pool/settle"
	goredis "github.com/redis/go-redis/v9"
)

//go:embed lua/guard.lua
var guardLua string

// guard is what stands before every script.
var guard = strings.Replace(guardLua, "$FORMAT", formatVersion, 1)

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

//go:embed lua/released.lua
var releasedLua string

//go:embed lua/drop.lua
var dropLua string

//go:embed lua/hold.lua
var holdLua string

//go:embed lua/window.lua
var windowLua string

//go:embed lua/report.lua
var reportLua string

//go:embed lua/chunks.lua
var chunksLua string

//go:embed lua/history.lua
var historyLua string

// run executes a script behind the guard, which is KEYS[1] = meta, ARGV[1] = identity; the script's own
// keys and arguments follow from KEYS[2] and ARGV[2].
func (p *Pool) run(ctx context.Context, src string, keys []string, args ...any) (any, error) {
	k := append(make([]string, 0, len(keys)+1), p.k.meta())
	a := append(make([]any, 0, len(args)+1), p.identity)
	return p.refused(goredis.NewScript(guard+src).Run(ctx, p.r.client, append(k, keys...), append(a, args...)...).Result())
}

// runFenced is run for what only the active ledger may write: it fails with [settle.ErrLeaseLost] unless the
// lease that this Pool took last is in force. The lease's key comes last. A Pool that never took one writes
// all the same: there is no other ledger then.
func (p *Pool) runFenced(ctx context.Context, src string, keys []string, args ...any) (any, error) {
	held := p.held.Load()
	if held == nil {
		return p.run(ctx, src, keys, args...)
	}
	k := append(append(make([]string, 0, len(keys)+2), p.k.meta()), keys...)
	a := append(make([]any, 0, len(args)+1), p.identity+" "+*held)
	return p.refused(goredis.NewScript(guard+src).Run(ctx, p.r.client, append(k, p.k.lease()), append(a, args...)...).Result())
}

// refused words what the guard refuses.
func (p *Pool) refused(v any, err error) (any, error) {
	switch {
	case err == nil:
		return v, nil
	case strings.HasPrefix(err.Error(), "WRONGSERVER"):
		return nil, fmt.Errorf("pool %s: %w", p.id, ErrWrongServer)
	case strings.HasPrefix(err.Error(), "LEASELOST"):
		return nil, fmt.Errorf("pool %s: %w", p.id, settle.ErrLeaseLost)
	}
	return nil, err
}

// answer runs a script that returns a list of strings.
func (p *Pool) answer(ctx context.Context, src string, keys []string, args ...any) ([]any, error) {
	return list(p.run(ctx, src, keys, args...))
}

func list(v any, err error) ([]any, error) {
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("script returned %T, want a list", v)
	}
	return list, nil
}
