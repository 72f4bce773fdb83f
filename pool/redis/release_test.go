package redis

import (
	"errors"
	"slices"
	"testing"
)

// TestPreviousRelease goes on with a mirror of format 1, which had no lists of accounts, and with one that such a
// program wrote into after this one: both are made anew.
func TestPreviousRelease(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		p.chunk = 5
		b := newBook()
		b.block("first", 1, 9)
		b.block("second", 2, 2)
		must(t, b.rollForward(ctx, p))
		for name, older := range map[string]func(){
			"format 1": func() {
				must(t, s.raw.HSet(ctx, p.k.meta(), "format", "1").Err())
				must(t, s.raw.HDel(ctx, p.k.head(), "layout").Err())
				must(t, s.raw.Del(ctx, p.k.entries("blocks"), p.k.credits(miner(0)), p.k.credits(miner(8))).Err())
			},
			"format 1 meanwhile": func() {
				must(t, s.raw.HSet(ctx, p.k.head(), "at", headText(b.heads[0])).Err())
				must(t, s.raw.Del(ctx, p.k.entries("blocks")).Err())
			},
		} {
			older()
			again, err := p.r.Pool(ctx, "main", p.Identity())
			must(t, err)
			again.chunk = 5
			if got := s.raw.HGet(ctx, p.k.meta(), "format").Val(); got != formatVersion {
				t.Fatalf("%s: the server says format %s, want %s", name, got, formatVersion)
			}
			h, err := again.Head(ctx)
			must(t, err)
			b.block(name, 3, 2)
			if err := again.Apply(ctx, h, b.entries[h.Seq:], b.heads[h.Seq:]); !errors.Is(err, ErrBehind) {
				t.Fatalf("%s: the mirror was continued: %v", name, err)
			}
			must(t, b.rollForward(ctx, again))
			must(t, b.check(ctx, again))
			got, _, err := history(ctx, again, miner(8), 10)
			must(t, err)
			if want := []string{"1 1009 {8 1} 10000"}; !slices.Equal(got, want) {
				t.Fatalf("%s: miner has %q, want %q", name, got, want)
			}
		}
	})
}
