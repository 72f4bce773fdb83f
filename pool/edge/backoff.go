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
	t := time.NewTimer(d - rand.N(d/4+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
