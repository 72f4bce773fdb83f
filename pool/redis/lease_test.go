package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool/settle"
)

func TestLease(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		a, b := s.pool(t), s.pool(t)
		first, err := a.Acquire(ctx, "A")
		must(t, err)
		if _, err := b.Acquire(ctx, "B"); !errors.Is(err, settle.ErrLeaseHeld) {
			t.Fatalf("a second owner got %v", err)
		}
		if err := b.Renew(ctx, "B", first); !errors.Is(err, settle.ErrLeaseLost) {
			t.Fatalf("a stranger renewed with a stolen token: %v", err)
		}
		must(t, a.Renew(ctx, "A", first))
		must(t, b.Release(ctx, "B", first)) // not B's to give up
		must(t, a.Renew(ctx, "A", first))

		again, err := a.Acquire(ctx, "A") // restarted
		if err != nil || again <= first {
			t.Fatalf("the owner came again and got %d, %v after %d", again, err, first)
		}
		if err := a.Renew(ctx, "A", first); !errors.Is(err, settle.ErrLeaseLost) {
			t.Fatalf("an earlier start renewed: %v", err)
		}
		if ttl := s.raw.PTTL(ctx, a.k.lease()).Val(); ttl <= 0 || ttl > LeaseTTL {
			t.Fatalf("lease expires in %v", ttl)
		}
		must(t, s.raw.PExpire(ctx, a.k.lease(), time.Millisecond).Err()) // A stopped for too long
		var second uint64
		eventually(t, "the lease expires", func() bool {
			second, err = b.Acquire(ctx, "B")
			return err == nil
		})
		if second <= again {
			t.Fatalf("token went from %d to %d", again, second)
		}
		if err := a.Renew(ctx, "A", again); !errors.Is(err, settle.ErrLeaseLost) {
			t.Fatalf("a lost lease was renewed: %v", err)
		}
		must(t, a.Release(ctx, "A", again))
		must(t, b.Renew(ctx, "B", second))

		s.flush(t) // the server forgets lease and counter
		if err := b.Renew(ctx, "B", second); !errors.Is(err, settle.ErrLeaseLost) {
			t.Fatalf("a forgotten lease was renewed: %v", err)
		}
		third, err := a.Acquire(ctx, "A")
		must(t, err)
		if third <= second {
			t.Fatalf("token went from %d to %d over a loss", second, third)
		}
		must(t, a.Release(ctx, "A", third))
		fourth, err := b.Acquire(ctx, "B")
		must(t, err)
		if fourth <= third {
			t.Fatalf("token went from %d to %d over a release", third, fourth)
		}
	})
}
