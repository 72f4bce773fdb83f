package redis

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/adit-pool/adit/pool"
)

func candidate(n byte) pool.Candidate {
	return pool.Candidate{Pool: "main", Height: 1<<53 + int64(n), Hash: pool.Hash{31: n}, Bits: 0x207fffff,
		Value: 1<<62 + 1, Time: 1_800_000_000_123, Epoch: 1<<64 - 1, Block: []byte("not sent"),
		Share: pool.Share{Seq: 1<<63 + uint64(n), Account: miner(1), Script: []byte{0, 20, 255}, Worker: "r.1",
			Issued: pool.Work{Hi: 1<<63 + 1, Lo: 1<<64 - 1}, Hash: [16]byte{1, 255}, Flags: pool.ShareBlock}}
}

func TestCandidates(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		for _, n := range []byte{1, 2, 1, 1, 2} {
			must(t, p.PublishCandidate(ctx, candidate(n)))
		}
		found, err := p.Candidates(ctx, "")
		must(t, err)
		if len(found) != 2 {
			t.Fatalf("%d candidates, want 2", len(found))
		}
		for i, m := range found {
			want := candidate(byte(i + 1))
			want.Block = nil
			if !reflect.DeepEqual(m.Candidate, want) {
				a, _ := json.Marshal(m.Candidate)
				b, _ := json.Marshal(want)
				t.Fatalf("candidate %d is\n%s, want\n%s", i, a, b)
			}
		}
		if later, err := p.Candidates(ctx, found[0].ID); err != nil || len(later) != 1 || later[0].Hash != found[1].Hash {
			t.Fatalf("behind the first there is %v, %v", later, err)
		}

		must(t, p.AckCandidate(ctx, found[0].ID))
		must(t, p.AckCandidate(ctx, found[0].ID))
		must(t, p.PublishCandidate(ctx, candidate(2)))
		if left, err := p.Candidates(ctx, ""); err != nil || len(left) != 1 || left[0].Hash != found[1].Hash {
			t.Fatalf("left are %v, %v", left, err)
		}
		// an edge that has not heard of the ledger publishes again: it is delivered again
		must(t, p.PublishCandidate(ctx, candidate(1)))
		if again, err := p.Candidates(ctx, found[1].ID); err != nil || len(again) != 1 {
			t.Fatalf("again there are %v, %v", again, err)
		}
		must(t, s.raw.XTrimMaxLen(ctx, p.k.candidates(), 0).Err()) // ids are left behind
		must(t, p.PublishCandidate(ctx, candidate(2)))
		if left, err := p.Candidates(ctx, ""); err != nil || len(left) != 1 {
			t.Fatalf("left are %v, %v", left, err)
		}
		s.flush(t)
		if left, err := p.Candidates(ctx, ""); err != nil || len(left) != 0 {
			t.Fatalf("left are %v, %v", left, err)
		}
		must(t, p.PublishCandidate(ctx, candidate(2)))
		left, err := p.Candidates(ctx, "")
		if err != nil || len(left) != 1 {
			t.Fatalf("left are %v, %v", left, err)
		}
		must(t, p.AckCandidate(ctx, left[0].ID))
		if n := s.raw.HLen(ctx, p.k.candidateIDs()).Val(); n != 0 {
			t.Fatalf("%d ids are kept of no candidates", n)
		}
	})
}

func TestWindow(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		check := func(n int, score, total pool.Work) {
			t.Helper()
			a, b, err := p.WindowShare(ctx, miner(n))
			if err != nil || a != score || b != total {
				t.Fatalf("share of %d is %v of %v, %v, want %v of %v", n, a, b, err, score, total)
			}
		}
		check(1, pool.Work{}, pool.Work{})
		huge := pool.Work{Hi: 1<<63 + 7, Lo: 1<<64 - 3}
		var weights []pool.Weight
		for i := range windowFields + 1 {
			weights = append(weights, pool.Weight{Account: miner(i), Score: pool.Work{Hi: uint64(i), Lo: 1<<53 + 1}})
		}
		must(t, p.PublishWindow(ctx, huge, weights))
		check(1, weights[1].Score, huge)
		check(windowFields, weights[windowFields].Score, huge)
		check(windowFields+1, pool.Work{}, huge)
		must(t, p.PublishWindow(ctx, pool.WorkOf(3), weights[5:6]))
		check(1, pool.Work{}, pool.WorkOf(3))
		check(5, weights[5].Score, pool.WorkOf(3))
		must(t, p.PublishWindow(ctx, pool.Work{}, nil))
		check(5, pool.Work{}, pool.Work{})
		if ttl := s.raw.PTTL(ctx, p.k.window()).Val(); ttl > 0 {
			t.Fatalf("the window expires in %v", ttl)
		}
	})
}
