package worker

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// takers runs threads that take from l and count, until the test ends.
func takers(ctx context.Context, wait *sync.WaitGroup, l *Limit, threads int, most uint64) *atomic.Uint64 {
	var taken atomic.Uint64
	for range threads {
		wait.Go(func() {
			for ctx.Err() == nil {
				taken.Add(l.take(ctx, most))
			}
		})
	}
	return &taken
}

func TestLimitIsKept(t *testing.T) {
	f := func(rate float64, threads int, most uint64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var wait sync.WaitGroup
			taken := takers(ctx, &wait, NewLimit(rate), threads, most)
			begin := time.Now()
			for _, after := range []time.Duration{time.Second, 10 * time.Second, 100 * time.Second} {
				time.Sleep(after)
				synctest.Wait()
				want := rate * time.Since(begin).Seconds()
				// One portion is handed out in advance.
				if got := float64(taken.Load()); got < want-1 || got > want+max(1, rate*pace.Seconds())+1 {
					t.Errorf("%v H/s, %d threads: %v hashes in %v", rate, threads, got, time.Since(begin))
				}
			}
			cancel()
			wait.Wait()
		})
	}
	f(1, 1, 1)
	f(1, 4, 64)
	f(4, 2, 1000)
	f(2.5, 3, 1000)
	f(1000, 2, 1<<20)
	f(1000, 2, 7)
	f(0.1, 2, 5)
}

func TestLimitChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		l := NewLimit(1e9)
		taken := takers(ctx, &wait, l, 2, 1<<30)
		time.Sleep(time.Second)
		// Down: what was owed at the high rate does not hold up the low one.
		l.Set(1)
		synctest.Wait()
		before := taken.Load()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := taken.Load() - before; n < 9 || n > 11 {
			t.Errorf("%d hashes in 10 s at 1 H/s", n)
		}
		// Setting it over and over gives nothing away.
		before = taken.Load()
		for i := range 100 {
			time.Sleep(100 * time.Millisecond)
			l.Set(1 + float64(i%2)*0.01)
		}
		synctest.Wait()
		if n := taken.Load() - before; n < 9 || n > 11 {
			t.Errorf("%d hashes in 10 s at about 1 H/s, set 100 times", n)
		}
		// Up: nobody sleeps on.
		l.Set(1e-6)
		time.Sleep(time.Hour)
		before = taken.Load()
		l.Set(1000)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := taken.Load() - before; n < 50 || n > 200 {
			t.Errorf("%d hashes in 0.1 s at 1000 H/s", n)
		}
		cancel()
		wait.Wait()
	})
}

func TestLimitOff(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		l := NewLimit(rate)
		if n := l.take(t.Context(), 12345); n != 12345 || l.Rate() != 0 {
			t.Errorf("limit %v: took %d, rate %v", rate, n, l.Rate())
		}
	}
	var zero Limit
	if n := zero.take(t.Context(), 5); n != 5 {
		t.Errorf("zero limit: took %d", n)
	}
}

func TestLimitEndsWithContext(t *testing.T) {
	l := NewLimit(1e-6)
	l.take(t.Context(), 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if n := l.take(ctx, 1); n != 0 {
		t.Errorf("took %d after the context ended", n)
	}
}

// What was handed out too much is waited for.
func TestLimitOwes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(100)
		if n := l.take(t.Context(), 5); n != 5 {
			t.Fatalf("took %d", n)
		}
		l.owe(95)
		begun := time.Now()
		if n := l.take(t.Context(), 5); n != 5 || time.Since(begun) != time.Second {
			t.Errorf("took %d after %v, want 5 after 1 s", n, time.Since(begun))
		}
	})
}
