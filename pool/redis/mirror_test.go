package redis

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
	"github.com/adit-pool/adit/pool/slice"
	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

func miner(n int) pool.AccountID {
	var id pool.AccountID
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

// toyBook is a list of entries with the heads behind them, and the fold of both.
type toyBook struct {
	entries  []ledger.Entry
	heads    []ledger.Head
	posted   int
	balances []map[ledger.Account]pool.Amount // behind every entry; [0] is before the first
}

func newBook() *toyBook {
	return &toyBook{balances: []map[ledger.Account]pool.Amount{{}}}
}

func (b *toyBook) post(e ledger.Entry) {
	n := len(b.entries)
	b.posted++
	e.Seq, e.Term = uint64(n+1), 1+uint64(n/7)
	h := ledger.Head{Seq: e.Seq, Term: e.Term, Hash: sha256.Sum256(fmt.Appendf(nil, "%d", b.posted))}
	after := make(map[ledger.Account]pool.Amount)
	for a, v := range b.balances[n] {
		after[a] = v
	}
	for _, p := range e.Postings {
		if p.Debit.DebitNormal() {
			after[p.Debit] += p.Amount
		} else {
			after[p.Debit] -= p.Amount
		}
		if p.Credit.DebitNormal() {
			after[p.Credit] -= p.Amount
		} else {
			after[p.Credit] += p.Amount
		}
	}
	b.entries, b.heads, b.balances = append(b.entries, e), append(b.heads, h), append(b.balances, after)
}

// credits is an entry that owes n miners one unit more each than the one before.
func (b *toyBook) credits(n int, amount pool.Amount) {
	e := ledger.Entry{Kind: "block.immature"}
	for i := range n {
		e.Postings = append(e.Postings, ledger.Posting{Debit: ledger.CoinbaseImmature,
			Credit: ledger.MinerImmature(miner(i)), Amount: amount + pool.Amount(i)})
	}
	b.post(e)
}

// rollForward does what the settler does: ask, and go on from there.
func (b *toyBook) rollForward(ctx context.Context, p *Pool) error {
	h, err := p.Head(ctx)
	if err != nil {
		return err
	}
	return p.Apply(ctx, h, b.entries[h.Seq:], b.heads[h.Seq:])
}

// check compares everything that readers see with the fold behind the mirror's head.
func (b *toyBook) check(ctx context.Context, p *Pool) error {
	h, err := p.Head(ctx)
	if err != nil {
		return err
	}
	if h.Seq > 0 && h != b.heads[h.Seq-1] {
		return fmt.Errorf("mirror stands at %+v, which the book never had", h)
	}
	var names []string
	for a := range b.balances[len(b.entries)] {
		names = append(names, string(a))
	}
	if len(names) == 0 {
		return nil
	}
	got, err := p.fields(ctx, names...)
	if err != nil {
		return err
	}
	for i, a := range names {
		if want := b.balances[h.Seq][ledger.Account(a)]; got[i] != want {
			return fmt.Errorf("at entry %d %s has %d, want %d", h.Seq, a, got[i], want)
		}
	}
	return nil
}

func TestMirror(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		b := newBook()
		const big = 1<<53 + 1 // a double would make this 2^53
		b.credits(3, big)
		b.credits(1, 1)
		b.post(ledger.Entry{Kind: "payout", Postings: []ledger.Posting{
			{Debit: ledger.MinerImmature(miner(1)), Credit: ledger.MinerAvailable(miner(1)), Amount: big},
			{Debit: ledger.MinerAvailable(miner(1)), Credit: ledger.MinerInPayout(miner(1)), Amount: 900},
			{Debit: ledger.MinerInPayout(miner(1)), Credit: ledger.Wallet, Amount: 700},
			{Debit: ledger.Wallet, Credit: ledger.MinerInPayout(miner(1)), Amount: 100},
		}})
		b.credits(2*maxChanges+5, 1<<60/5000) // three chunks
		b.credits(2, 7)

		must(t, b.rollForward(ctx, p))
		must(t, b.check(ctx, p))
		immature, available, inPayout, paid, err := p.Balances(ctx, miner(1))
		must(t, err)
		if want := pool.Amount(1 + 1<<60/5000 + 1 + 8); immature != want || available != big-900 || inPayout != 300 || paid != 600 {
			t.Fatalf("balances are %d %d %d %d, want %d %d 300 600", immature, available, inPayout, paid, want, big-900)
		}

		// twice, out of order, from the wrong head: nothing changes
		must(t, b.rollForward(ctx, p))
		must(t, p.Apply(ctx, b.heads[3], b.entries[4:], b.heads[4:]))
		for from := range 4 {
			prev := ledger.Head{}
			if from > 0 {
				prev = b.heads[from-1]
			}
			if err := p.Apply(ctx, prev, b.entries[from:from+1], b.heads[from:from+1]); !errors.Is(err, ErrBehind) {
				t.Fatalf("entry %d again: %v", from+1, err)
			}
		}
		skipped := b.heads[4]
		skipped.Hash[0]++
		if err := p.Apply(ctx, skipped, b.entries[:1], []ledger.Head{{Seq: 6, Term: 9}}); !errors.Is(err, ErrBehind) {
			t.Fatalf("an entry on another history: %v", err)
		}
		must(t, b.check(ctx, p))

		s.flush(t)
		must(t, b.check(ctx, p)) // all zero
		must(t, b.rollForward(ctx, p))
		must(t, b.check(ctx, p))

		token, err := p.Acquire(ctx, "one")
		must(t, err)
		must(t, p.Release(ctx, "one", token))
		if err := p.ForgetLedger(ctx); !errors.Is(err, settle.ErrLeaseLost) {
			t.Fatalf("forgotten without the lease: %v", err)
		}
		must(t, b.check(ctx, p))
		_, err = p.Acquire(ctx, "one")
		must(t, err)
		id := slice.StreamID{Edge: "e", Epoch: 7}
		must(t, p.PublishReleases(ctx, map[slice.StreamID]uint64{id: 5}))
		must(t, p.ForgetLedger(ctx))
		if told, err := p.Releases(ctx); err != nil || len(told) > 0 {
			t.Fatalf("still told: %v, %v", told, err)
		}
		if h, err := p.Head(ctx); err != nil || h != (ledger.Head{}) {
			t.Fatalf("an empty mirror stands at %+v, %v", h, err)
		}
		must(t, b.rollForward(ctx, p))
		must(t, b.check(ctx, p))
	})
}

// TestMirrorOfBook mirrors a real book and compares balances and documents.
func TestMirrorOfBook(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		book, err := ledger.Open(ledger.Options{Dir: t.TempDir(), Pool: "main", Log: zerolog.Nop()})
		must(t, err)
		defer book.Close()
		m, n := miner(1), miner(2)
		for i, e := range []ledger.Entry{
			{Kind: "block", Subject: &ledger.Subject{Set: ledger.SetBlocks, ID: "b1", Rank: 7}, Body: json.RawMessage(`{"n":1}`),
				Postings: []ledger.Posting{{Debit: ledger.CoinbaseImmature, Credit: ledger.MinerImmature(m), Amount: 1<<53 + 1},
					{Debit: ledger.CoinbaseImmature, Credit: ledger.MinerImmature(n), Amount: 30},
					{Debit: ledger.CoinbaseImmature, Credit: ledger.PoolFeeImmature, Amount: 9}}},
			{Kind: "mature", Postings: []ledger.Posting{{Debit: ledger.Wallet, Credit: ledger.CoinbaseImmature, Amount: 1<<53 + 40},
				{Debit: ledger.MinerImmature(m), Credit: ledger.MinerAvailable(m), Amount: 1<<53 + 1},
				{Debit: ledger.PoolFeeImmature, Credit: ledger.PoolFee, Amount: 9}}},
			{Kind: "payout", Postings: []ledger.Posting{{Debit: ledger.MinerAvailable(m), Credit: ledger.MinerInPayout(m), Amount: 1 << 53},
				{Debit: ledger.MinerInPayout(m), Credit: ledger.Wallet, Amount: 1 << 52}, {Debit: ledger.NetworkFee, Credit: ledger.Wallet, Amount: 5}}},
		} {
			e.Key, e.Time = fmt.Sprint(i), 1
			_, err := book.Post(e)
			must(t, err)
		}
		var entries []ledger.Entry
		var heads []ledger.Head
		for r, err := range book.Records(0) {
			must(t, err)
			entries, heads = append(entries, r.Entry), append(heads, r.Head)
		}
		p := s.pool(t)
		must(t, p.Apply(ctx, ledger.Head{}, entries, heads))
		if h, err := p.Head(ctx); err != nil || h != book.Head() {
			t.Fatalf("mirror stands at %+v, %v, book at %+v", h, err, book.Head())
		}
		for a, want := range book.Balances() {
			if got, err := p.Balance(ctx, a); err != nil || got != want {
				t.Errorf("%s has %d, %v, want %d", a, got, err, want)
			}
		}
		if _, _, _, paid, err := p.Balances(ctx, m); err != nil || paid != 1<<52 {
			t.Errorf("paid %d, %v, want %d", paid, err, 1<<52)
		}
		want, _ := book.Doc(ledger.SetBlocks, "b1")
		if got, err := p.Doc(ctx, ledger.SetBlocks, "b1"); err != nil || string(got) != string(want) {
			t.Errorf("document is %s, %v, want %s", got, err, want)
		}
	})
}

func TestMirrorDocs(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		b := newBook()
		doc := func(id string, rank int64, body string) {
			b.post(ledger.Entry{Subject: &ledger.Subject{Set: "blocks", ID: id, Rank: rank}, Body: json.RawMessage(body)})
		}
		names := []string{"a", "é:{x}\r\n\x00*[", "c", "d"}
		for i, n := range names {
			doc(n, int64(100+i), fmt.Sprintf(`{"n":%d,"state":"new"}`, i))
		}
		doc(names[1], 101, `{"n":1,"state":"old"}`)
		must(t, b.rollForward(ctx, p))
		doc(names[0], 500, `{"n":0,"state":"moved"}`)
		must(t, b.rollForward(ctx, p))

		for _, c := range []struct {
			after string
			limit int
			next  string
			want  []string
		}{
			{"", 10, "", []string{`{"n":0,"state":"moved"}`, `{"n":3,"state":"new"}`, `{"n":2,"state":"new"}`, `{"n":1,"state":"old"}`}},
			{"", 1, "500.a", []string{`{"n":0,"state":"moved"}`}},
			{"500.a", 2, "102.c", []string{`{"n":3,"state":"new"}`, `{"n":2,"state":"new"}`}},
			{"102.c", 5, "", []string{`{"n":1,"state":"old"}`}},
			{"102.b", 5, "", []string{`{"n":1,"state":"old"}`}}, // a document that is no more
			{"101." + names[1], 5, "", nil},
		} {
			docs, next, total, err := p.Docs(ctx, "blocks", c.after, c.limit)
			must(t, err)
			var got []string
			for _, d := range docs {
				got = append(got, string(d))
			}
			if total != 4 || next != c.next || !slices.Equal(got, c.want) {
				t.Fatalf("%d from %q gives %d: %q, then %q, want %q", c.limit, c.after, total, got, next, c.want)
			}
		}
		got, err := p.Doc(ctx, "blocks", names[1])
		if err != nil || string(got) != `{"n":1,"state":"old"}` {
			t.Fatalf("document is %s, %v", got, err)
		}
		if _, err := p.Doc(ctx, "payouts", "a"); !errors.Is(err, ErrNoDoc) {
			t.Fatalf("a missing document gave %v", err)
		}
		for i := range 20 { // many of one rank, as blocks of one height are
			doc(fmt.Sprintf("t%02d", i), 7, `{}`)
		}
		must(t, b.rollForward(ctx, p))
		var all int
		for after := "101." + names[1]; ; {
			docs, next, _, err := p.Docs(ctx, "blocks", after, 3)
			must(t, err)
			all += len(docs)
			if after = next; next == "" {
				break
			}
		}
		if all != 20 {
			t.Fatalf("pages of one rank have %d documents", all)
		}
		for _, bad := range []string{"x", "1", "1.", "+1.a", "01.a", "1e3.a", "99999999999999999999.a", "1." + strings.Repeat("a", 81)} {
			if _, _, _, err := p.Docs(ctx, "blocks", bad, 3); !errors.Is(err, ErrCursor) {
				t.Errorf("place %q: %v", bad, err)
			}
		}
		if docs, _, total, err := p.Docs(ctx, "payouts", "", 5); err != nil || total != 0 || docs != nil {
			t.Fatalf("an empty set gave %q, %d, %v", docs, total, err)
		}
	})
}

// breaker lets a number of commands through to the server and then fails, before or after the server
// has done what was asked.
type breaker struct {
	left  int
	after bool
}

var errBroken = errors.New("connection broken by the test")

func (b *breaker) DialHook(next goredis.DialHook) goredis.DialHook { return next }
func (b *breaker) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		b.left--
		if b.left < 0 && !b.after {
			cmd.SetErr(errBroken)
			return errBroken
		}
		err := next(ctx, cmd)
		if b.left < 0 {
			cmd.SetErr(errBroken)
			return errBroken
		}
		return err
	}
}
func (b *breaker) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// TestMirrorInterrupted breaks the connection at random calls, before or after the server acted, restores
// older copies and empties the server: what readers see is always the fold behind some head, and a last
// undisturbed run ends at the book's.
func TestMirrorInterrupted(t *testing.T) {
	interrupted := func(t *testing.T, s *server) {
		ctx := t.Context()
		rapid.Check(t, func(rt *rapid.T) {
			if err := s.raw.FlushAll(ctx).Err(); err != nil {
				rt.Fatal(err)
			}
			b := newBook()
			post := func() {
				for range rapid.IntRange(1, 6).Draw(rt, "entries") {
					switch rapid.IntRange(0, 5).Draw(rt, "kind") {
					case 0:
						b.credits(rapid.IntRange(8, 30).Draw(rt, "miners"), 3)
					default:
						b.credits(rapid.IntRange(1, 4).Draw(rt, "few"), pool.Amount(rapid.Int64Range(1, 1<<55).Draw(rt, "amount")))
					}
				}
			}
			r, err := Open(ctx, Options{URL: s.url, AllowVolatile: true, Log: zerolog.Nop()})
			if err != nil {
				rt.Fatal(err)
			}
			defer r.Close()
			p, err := r.Pool(ctx, "main", "")
			if err != nil {
				rt.Fatal(err)
			}
			hook := &breaker{left: 1 << 30}
			r.client.AddHook(hook)
			check := func(what string) {
				hook.left = 1 << 30
				if err := b.check(ctx, p); err != nil {
					rt.Fatalf("after %s: %v", what, err)
				}
			}
			for range rapid.IntRange(1, 5).Draw(rt, "rounds") {
				if len(b.entries) < 12 {
					post()
				}
				p.chunk = rapid.IntRange(3, 12).Draw(rt, "chunk") // also another version of the program
				hook.left = rapid.IntRange(0, 9).Draw(rt, "calls")
				hook.after = rapid.Bool().Draw(rt, "after")
				if err := b.rollForward(ctx, p); err != nil && !errors.Is(err, errBroken) {
					rt.Fatalf("roll forward: %v", err)
				}
				check("an interruption")
				switch rapid.IntRange(0, 4).Draw(rt, "harm") {
				case 0:
					if err := s.raw.FlushAll(ctx).Err(); err != nil {
						rt.Fatal(err)
					}
				case 1: // the entry that was half mirrored is not the one that comes
					h, err := p.Head(ctx)
					if err != nil {
						rt.Fatal(err)
					}
					n := h.Seq
					b.entries, b.heads, b.balances = b.entries[:n], b.heads[:n], b.balances[:n+1]
					post()
					check("a change of history")
				}
			}
			hook.left = 1 << 30
			if err := b.rollForward(ctx, p); err != nil {
				rt.Fatalf("last roll forward: %v", err)
			}
			check("the last roll forward")
			if h, _ := p.Head(ctx); h.Seq != uint64(len(b.entries)) {
				rt.Fatalf("mirror stands at %d of %d", h.Seq, len(b.entries))
			}
			if left := s.raw.Exists(ctx, p.k.pending()).Val(); left != 0 {
				rt.Fatal("something is left half mirrored")
			}
		})
	}
	t.Run("embedded", func(t *testing.T) { interrupted(t, startEmbedded(t)) })
	t.Run("real", func(t *testing.T) { interrupted(t, sharedServer(t, &shared.single)) })
}
