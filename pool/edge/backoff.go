package edge

import (
	"context"
	"math/rand/v2"
	"time"
)

// pause waits for the n-th retry (from 0): first doubled n times, at most limit, less up to a quarter by
// chance. It returns false when ctx ends first.
func pause(ctx context.Context, n int, first, limit time.Duration) bool {
	d := limit
	if n < 20 {
		d = min(limit, first<<n)
	}
	return wait(ctx, d-rand.N(d/4+1))
}

// wait returns after d, or with false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
