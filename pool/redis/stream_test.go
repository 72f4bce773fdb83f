package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/slice"
)

const (
	testEpoch = uint64(0xfedcba9876543210)
	toyName   = "edge:{1}\r\n\x00*"
)

var toyStream = slice.StreamID{Edge: toyName, Epoch: testEpoch}

// toyEdge is the part of an edge's forwarder that matters here: blocks of one share each that it keeps
// from a first one on.
type toyEdge struct {
	oldest, newest uint64
}

func toyBlock(seq uint64) []byte { return fmt.Appendf(nil, "block \x00\r\n %d", seq) }

// forward sends until the stream holds everything.
func (e *toyEdge) forward(ctx context.Context, p *Pool) error {
	last, err := p.Last(ctx, toyName, testEpoch)
	for steps := 0; err == nil && last != e.newest; steps++ {
		next := last + 1
		if last == 0 {
			next = e.oldest
		}
		if next < e.oldest {
			return fmt.Errorf("stream wants block %d, the edge has %d and on", next, e.oldest)
		}
		if steps > 1000 {
			return errors.New("the forwarder makes no progress")
		}
		last, err = p.Append(ctx, toyName, testEpoch, last, e.some(next))
	}
	return err
}

// some are up to three blocks from next on.
func (e *toyEdge) some(next uint64) (blocks []journal.Block) {
	for ; next <= e.newest && len(blocks) < 3; next++ {
		blocks = append(blocks, entry(next-1, next, toyBlock(next)))
	}
	return blocks
}

// entry is a block of the shares behind prev up to last, whatever its bytes.
func entry(prev, last uint64, raw []byte) journal.Block {
	return journal.Block{First: prev + 1, Count: int(last - prev), Raw: raw}
}

func (e *toyEdge) send(t *testing.T, p *Pool) {
	t.Helper()
	must(t, e.forward(t.Context(), p))
}

func (e *toyEdge) check(t *testing.T, p *Pool, after, first uint64) {
	t.Helper()
	blocks, err := p.Read(t.Context(), toyStream, after, 1000)
	must(t, err)
	for i, b := range blocks {
		if !bytes.Equal(b, toyBlock(first+uint64(i))) {
			t.Fatalf("block %d in the stream is %q, want number %d", i, b, first+uint64(i))
		}
	}
	if want := e.newest + 1 - first; uint64(len(blocks)) != want {
		t.Fatalf("stream holds %d blocks above %d, want %d", len(blocks), after, want)
	}
}

func TestAppend(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		for i, c := range []struct {
			prev, last, want uint64
		}{
			{5, 6, 0}, // a stream that is empty says so
			{0, 3, 3}, // and starts anywhere
			{0, 3, 3}, // the same again changes nothing
			{2, 4, 3}, // a hole or an overlap is refused
			{4, 5, 3}, // likewise
			{3, 10, 10},
			{10, 1 << 63, 1 << 63},
			{1 << 63, 1<<63 + 1, 1<<63 + 1}, // doubles cannot tell these two apart
			{1 << 63, 1<<63 + 2, 1<<63 + 1},
			{1<<63 + 1, 1<<64 - 1, 1<<64 - 1},
		} {
			got, err := p.Append(ctx, "e", testEpoch, c.prev, []journal.Block{entry(c.last-1, c.last, []byte("x"))})
			if err != nil || got != c.want {
				t.Fatalf("step %d: stream ends at %d, %v, want %d", i, got, err, c.want)
			}
		}
		if n := s.raw.XLen(ctx, p.k.shares(testEpoch)).Val(); n != 5 {
			t.Fatalf("stream has %d entries, want 5", n)
		}
		if _, err := p.Append(ctx, "e", testEpoch, 7, []journal.Block{entry(6, 7, []byte("x"))}); err == nil {
			t.Fatal("a block without shares was taken")
		}
	})
}

func TestStreamLoss(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(t *testing.T, s *server, p *Pool)
		after uint64 // where the settler's ledger is
		first uint64 // block that the stream must hold first above it
	}{
		{"nothing", func(*testing.T, *server, *Pool) {}, 0, 1},
		{"flushall", func(t *testing.T, s *server, p *Pool) { s.flush(t) }, 0, 4},
		{"del stream", func(t *testing.T, s *server, p *Pool) {
			must(t, s.raw.Del(t.Context(), p.k.shares(testEpoch)).Err())
		}, 0, 4},
		{"del list of streams", func(t *testing.T, s *server, p *Pool) {
			must(t, s.raw.Del(t.Context(), p.k.streams()).Err())
		}, 0, 4},
		{"trimmed", func(t *testing.T, s *server, p *Pool) {
			must(t, p.Trim(t.Context(), toyStream, 6))
		}, 0, 7},
		{"trimmed to the end", func(t *testing.T, s *server, p *Pool) {
			must(t, p.Trim(t.Context(), toyStream, 8))
		}, 8, 9},
		{"trimmed by hand", func(t *testing.T, s *server, p *Pool) {
			must(t, s.raw.XTrimMaxLen(t.Context(), p.k.shares(testEpoch), 0).Err())
		}, 8, 9},
		{"entry added by hand", func(t *testing.T, s *server, p *Pool) {
			must(t, s.raw.Do(t.Context(), "XADD", p.k.shares(testEpoch), "11-0", "b", "x").Err())
		}, 0, 4},
		{"entry with a time added by hand", func(t *testing.T, s *server, p *Pool) {
			must(t, s.raw.Do(t.Context(), "XADD", p.k.shares(testEpoch), "*", "b", "x").Err())
		}, 0, 4},
		{"expired empty", func(t *testing.T, s *server, p *Pool) {
			must(t, p.Trim(t.Context(), toyStream, 8))
			must(t, s.raw.Do(t.Context(), "PEXPIRE", p.k.shares(testEpoch), "1").Err())
			eventually(t, "stream expires", func() bool {
				return s.raw.Exists(t.Context(), p.k.shares(testEpoch)).Val() == 0
			})
		}, 3, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, s *server) {
				p := s.pool(t)
				e := &toyEdge{oldest: 1, newest: 8}
				e.send(t, p)
				e.check(t, p, 0, 1)
				c.harm(t, s, p)
				e.oldest, e.newest = 4, 10 // the ledger has 1..3, and mining went on
				e.send(t, p)
				e.check(t, p, c.after, c.first)
				if ttl := s.raw.PTTL(t.Context(), p.k.shares(testEpoch)).Val(); ttl > 0 {
					t.Fatalf("a stream with blocks expires in %v", ttl)
				}
			})
		})
	}
}

// TestStreamRolledBack restores an older Redis, as a failover can. The edge may have dropped blocks that
// the older stream lacks; the settler knows by its ledger, and its trim makes the stream start anew.
func TestStreamRolledBack(t *testing.T) {
	s := startReal(t, durable...) // DUMP of streams is real Redis only
	p := s.pool(t)
	e := &toyEdge{oldest: 1, newest: 5}
	e.send(t, p)
	old := s.dump(t)
	e.newest = 12
	e.send(t, p)

	s.restore(t, old)
	e.send(t, p) // the edge still has all: it sends 6 and on again
	e.check(t, p, 0, 1)

	s.restore(t, old)
	e.oldest = 8 // the ledger has 1..9
	must(t, p.Trim(t.Context(), toyStream, 9))
	e.send(t, p)
	e.check(t, p, 0, 8)
}

func TestTwoForwarders(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			p := s.pool(t)
			wg.Go(func() { errs[i] = (&toyEdge{oldest: 1, newest: 60}).forward(t.Context(), p) })
		}
		wg.Wait()
		must(t, errors.Join(errs...))
		(&toyEdge{newest: 60}).check(t, s.pool(t), 0, 1)
	})
}

// TestEmptyStreamStays looks at a stream whose blocks the ledger has all: while its edge asks for it, it
// remembers where it ended.
func TestEmptyStreamStays(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		p := s.pool(t)
		e := &toyEdge{oldest: 1, newest: 3}
		e.send(t, p)
		must(t, p.Trim(t.Context(), toyStream, 3))
		key := p.k.shares(testEpoch)
		must(t, s.raw.PExpire(t.Context(), key, time.Hour).Err())
		if last, err := p.Append(t.Context(), toyName, testEpoch, 2, (&toyEdge{newest: 3}).some(3)); err != nil || last != 3 {
			t.Fatalf("stream ends at %d, %v", last, err)
		}
		if ttl := s.raw.PTTL(t.Context(), key).Val(); ttl <= time.Hour || ttl > emptyStreamTTL {
			t.Fatalf("an empty stream expires in %v", ttl)
		}
	})
}

func TestEpochs(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		must(t, p.Register(ctx, toyName, testEpoch))
		if ids, err := p.Epochs(ctx); err != nil || ids != nil {
			t.Fatalf("a stream without blocks is listed: %v, %v", ids, err)
		}
		(&toyEdge{oldest: 1, newest: 2}).send(t, p)
		if _, err := p.Append(ctx, "b", 7, 0, []journal.Block{entry(0, 1, []byte("x"))}); err != nil {
			t.Fatal(err)
		}
		ids, err := p.Epochs(ctx)
		must(t, err)
		if len(ids) != 2 || !slices.Contains(ids, toyStream) || !slices.Contains(ids, slice.StreamID{Edge: "b", Epoch: 7}) {
			t.Fatalf("streams are %v", ids)
		}
		must(t, s.raw.Del(ctx, p.k.shares(7)).Err())
		for range 2 {
			if ids, err = p.Epochs(ctx); err != nil || !slices.Equal(ids, []slice.StreamID{toyStream}) {
				t.Fatalf("streams are %v, %v", ids, err)
			}
		}
		if n := s.raw.HLen(ctx, p.k.streams()).Val(); n != 1 {
			t.Fatalf("list of streams has %d fields", n)
		}
	})
}
