package redis

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"pgregory.net/rapid"
)

// block is an entry that credits miners 0 to n-1 for a block.
func (b *toyBook) block(name string, height int64, n int) {
	doc := ledger.BlockDoc{Hash: sha256.Sum256([]byte(name)), Height: height, State: ledger.BlockImmature, FeePPM: 10_000,
		AccountFees: []ledger.AccountFee{{Account: miner(1), PPM: 5}}, Score: pool.Work{Hi: 7}}
	for i := range n {
		doc.Credits = append(doc.Credits, pool.Credit{Account: miner(i), Amount: pool.Amount(height*1000 + int64(i) + 1)})
		doc.Scores = append(doc.Scores, pool.Work{Hi: uint64(i), Lo: uint64(height)})
	}
	b.post(ledger.Entry{Kind: "block.immature", Subject: &ledger.Subject{Set: ledger.SetBlocks, ID: doc.Hash.String(), Rank: height},
		Postings: doc.CreditPostings(), Body: must1(json.Marshal(doc))})
}

func must1(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// history lists all of an account's credits, n a page, as "height amount score".
func history(ctx context.Context, p *Pool, id pool.AccountID, n int) (out []string, total int, err error) {
	for after := ""; ; {
		rows, next, all, err := p.Credits(ctx, id, after, n)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range rows {
			out = append(out, fmt.Sprintf("%d %d {%d %d} %d", r.Block.Height, r.Amount, r.Score.Hi, r.Score.Lo, r.FeePPM))
		}
		if total, after = all, next; next == "" {
			return out, total, nil
		}
	}
}

func TestAccountIndex(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		p.chunk = 40
		b := newBook()
		for height := int64(1); height <= 3; height++ {
			b.block(fmt.Sprint(height), height, 3)
		}
		b.block("another of this height", 3, 2)
		b.block("all", 4, 100) // in chunks
		must(t, b.rollForward(ctx, p))

		for _, n := range []int{1, 2, 100} {
			got, total, err := history(ctx, p, miner(1), n)
			must(t, err)
			slices.Sort(got) // the order of two of one height is that of their entries' hashes
			want := []string{"1 1002 {1 1} 5", "2 2002 {1 2} 5", "3 3002 {1 3} 5", "3 3002 {1 3} 5", "4 4002 {1 4} 5"}
			if total != 5 || !slices.Equal(got, want) {
				t.Fatalf("pages of %d have %d rows %q, want %q", n, total, got, want)
			}
		}
		rows, _, _, err := p.Credits(ctx, miner(0), "", 1)
		must(t, err)
		r := rows[0]
		if r.Block.Hash != sha256.Sum256([]byte("all")) || r.Block.Score != (pool.Work{Hi: 7}) || r.FeePPM != 10_000 ||
			r.Block.Credits != nil || r.Block.Scores != nil || r.Entry != b.heads[4] {
			t.Fatalf("newest row is %+v of block %+v", r, r.Block)
		}
		if got, total, err := history(ctx, p, miner(101), 5); err != nil || got != nil || total != 0 {
			t.Fatalf("an account without credits has %q, %d, %v", got, total, err)
		}

		// the block's later states keep the rows
		doc := *r.Block
		doc.State = ledger.BlockMature
		b.post(ledger.Entry{Kind: "block.mature", Subject: &ledger.Subject{Set: ledger.SetBlocks, ID: doc.Hash.String(), Rank: 4},
			Body: must1(json.Marshal(doc)), Postings: []ledger.Posting{{Debit: ledger.MinerImmature(miner(0)), Credit: ledger.MinerAvailable(miner(0)), Amount: 4001}}})
		batch := ledger.Entry{Kind: "payout.frozen", Subject: &ledger.Subject{Set: ledger.SetPayouts, ID: "p1", Rank: 9}, Body: []byte(`{"id":"p1"}`),
			Postings: []ledger.Posting{{Debit: ledger.MinerAvailable(miner(0)), Credit: ledger.MinerInPayout(miner(0)), Amount: 4000}}}
		b.post(batch)
		must(t, b.rollForward(ctx, p))
		rows, _, _, err = p.Credits(ctx, miner(0), "", 1)
		must(t, err)
		if rows[0].Block.State != ledger.BlockMature || rows[0].Entry != b.heads[4] {
			t.Fatalf("newest row is %+v of block %+v", rows[0], rows[0].Block)
		}
		paid, next, total, err := p.Payouts(ctx, miner(0), "", 10)
		if err != nil || len(paid) != 1 || next != "" || total != 1 || paid[0].Amount != 4000 || string(paid[0].Payout) != `{"id":"p1"}` || paid[0].Entry != b.heads[6] {
			t.Fatalf("payouts are %+v, %q, %d, %v", paid, next, total, err)
		}

		// the oldest give way
		for height := int64(5); height < 5+maxRows; height++ {
			b.block(fmt.Sprint(height), height, 2)
		}
		must(t, b.rollForward(ctx, p))
		got, total, err := history(ctx, p, miner(0), 7)
		must(t, err)
		if total != maxRows || len(got) != maxRows || got[0] != "104 104001 {0 104} 10000" || got[maxRows-1] != "5 5001 {0 5} 10000" {
			t.Fatalf("%d rows, %d listed, %q to %q", total, len(got), got[0], got[len(got)-1])
		}
		for _, bad := range []string{"x", "1", "1.", "1.x", "1.0", "+1.aa"} {
			if _, _, _, err := p.Credits(ctx, miner(0), bad, 3); !errors.Is(err, ErrCursor) {
				t.Errorf("place %q: %v", bad, err)
			}
		}
		if s.real { // one block of memory each
			if kind := s.raw.ObjectEncoding(ctx, p.k.credits(miner(0))).Val(); kind != "listpack" && kind != "ziplist" {
				t.Errorf("a full list is a %s", kind)
			}
		}
	})
}

// TestIndexShowsNoHalf breaks off an entry of many chunks at each of its calls: nothing of it is listed before
// all of it is there, nor when another entry comes in its place.
func TestIndexShowsNoHalf(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		p.chunk = 4
		b := newBook()
		b.block("first", 1, 2)
		must(t, b.rollForward(ctx, p))
		b.block("never", 2, 9)
		hook := &breaker{}
		p.r.client.AddHook(hook)
		for calls := range 4 { // the last of six calls completes it
			hook.left = 2 + calls
			if err := b.rollForward(ctx, p); !errors.Is(err, errBroken) {
				t.Fatalf("with %d calls: %v", calls, err)
			}
			hook.left = 1 << 30
			for i := range 9 {
				got, _, err := history(ctx, p, miner(i), 10)
				if err != nil || len(got) > 1 || len(got) == 1 && i > 1 {
					t.Fatalf("after %d calls miner %d has %q, %v", calls, i, got, err)
				}
			}
		}
		b.entries, b.heads, b.balances = b.entries[:1], b.heads[:1], b.balances[:2]
		b.block("instead", 2, 3)
		must(t, b.rollForward(ctx, p))
		must(t, b.check(ctx, p))
		for i := range 9 {
			got, _, err := history(ctx, p, miner(i), 10)
			must(t, err)
			var want []string
			if i < 3 {
				want = append(want, fmt.Sprintf("2 %d {%d 2} %d", 2001+i, i, map[bool]int{false: 10_000, true: 5}[i == 1]))
			}
			if i < 2 {
				want = append(want, fmt.Sprintf("1 %d {%d 1} %d", 1001+i, i, map[bool]int{false: 10_000, true: 5}[i == 1]))
			}
			if !slices.Equal(got, want) {
				t.Errorf("miner %d has %q, want %q", i, got, want)
			}
		}
	})
}

func TestRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		head := ledger.Head{Hash: sha256.Sum256([]byte{rapid.Byte().Draw(t, "tag")})}
		amount := pool.Amount(rapid.Int64Range(1, math.MaxInt64).Draw(t, "amount"))
		score := pool.Work{Hi: rapid.Uint64().Draw(t, "hi") >> rapid.IntRange(0, 64).Draw(t, "shift"), Lo: rapid.Uint64().Draw(t, "lo")}
		raw := appendRow(nil, head, amount, score)
		tag, a, w, err := parseRow(raw)
		if err != nil || tag != tagOf(head) || a != amount || w != score || len(raw) > 64 {
			t.Fatalf("%x reads as %x %d %v, %v", raw, tag, a, w, err)
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add(appendRow(nil, ledger.Head{}, 5, pool.WorkOf(1<<40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		tag, amount, score, err := parseRow(b)
		if err != nil {
			return
		}
		again := appendRow(nil, ledger.Head{Hash: [32]byte(append(tag[:], make([]byte, 24)...))}, amount, score)
		if t2, a2, w2, err := parseRow(again); err != nil || t2 != tag || a2 != amount || w2 != score {
			t.Fatalf("%x reads as %x %d %v, written as %x", b, tag, amount, score, again)
		}
	})
}
