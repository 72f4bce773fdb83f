package settle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

var wn = networkWork(testBits).Lo

const reward = 5_000_000_001

func pays(script []byte, value pool.Amount) pool.Output {
	return pool.Output{Script: script, Value: value}
}

// A block's whole life by hand: shares, candidate, immature, mature, orphaned late, back again.
func TestLifeOfABlock(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/8), w.share(2, wn/8), w.share(1, wn/8))
	e.write(t, w.share(3, wn/4))
	w.flush()
	w.settle()
	w.streams.deliver(t, w.candidate("b1", e, 1, e.shares[3]))
	w.settle()
	doc := w.doc(block("b1"))
	if doc.State != ledger.BlockSubmitted || doc.FeePPM != testPPM || doc.FeeVersion != 1 || doc.Window.First != 1 {
		t.Fatalf("submitted: %+v", doc)
	}
	if len(w.streams.found) != 0 {
		t.Error("the candidate was not acknowledged")
	}

	w.node.mine("b1", pays(rewardScript, reward), pool.Output{Script: []byte{0x6a, 1}})
	w.settle()
	doc = w.doc(block("b1"))
	fee := pool.Amount(reward * testPPM / 1_000_000)
	pot := reward - fee
	if doc.State != ledger.BlockImmature || doc.Fee != fee || doc.Carry != 0 || len(doc.Credits) != 3 || doc.Value != reward {
		t.Fatalf("immature: %+v", doc)
	}
	if got := w.book.Balance(ledger.MinerImmature(accountOf(1))); got < pot*2/5-1 || got > pot*2/5+1 {
		t.Errorf("account 1 has %d of %d, wants two fifths", got, pot)
	}
	var account ledger.AccountDoc
	if ok, err := ledger.Decode(w.book, ledger.SetAccounts, accountOf(3).String(), &account); !ok || err != nil || string(account.Script) != string(script(3)) || account.Address != "toy-5103" {
		t.Errorf("account document %+v, %v, %v", account, ok, err)
	}

	for i := range maturity - 1 {
		w.node.mine(string(rune('c' + i)))
	}
	w.settle()
	if doc = w.doc(block("b1")); doc.State != ledger.BlockMature {
		t.Fatalf("mature: %+v", doc)
	}
	available := w.book.Balance(ledger.MinerAvailable(accountOf(1)))
	if w.book.Balance(ledger.Wallet) != reward || w.book.Balance(ledger.PoolFee) != fee || w.book.Balance(ledger.CoinbaseImmature) != 0 || available == 0 {
		t.Error("balances of a mature block are wrong")
	}
	// Account 1 is paid, then the block is orphaned after all: a debt is left, and named.
	if _, err := w.book.Post(ledger.Entry{Kind: "test", Key: "pay", Postings: []ledger.Posting{{Debit: ledger.MinerAvailable(accountOf(1)), Credit: ledger.Wallet, Amount: available}}}); err != nil {
		t.Fatal(err)
	}
	cut := w.node.branch(1, nil)
	for i := range maturity + 2 {
		w.node.mine("other" + string(rune('0'+i)))
	}
	w.settle()
	if doc = w.doc(block("b1")); doc.State != ledger.BlockOrphaned {
		t.Fatalf("orphaned: %+v", doc)
	}
	if got := w.book.Balance(ledger.MinerAvailable(accountOf(1))); got != -available {
		t.Errorf("account 1 has %d, wants %d", got, -available)
	}
	w.node.branch(1, append(cut, block("longer")))
	w.node.height[block("longer")] = w.node.tip()
	w.settle()
	if doc = w.doc(block("b1")); doc.State != ledger.BlockMature {
		t.Fatalf("back again: %+v", doc)
	}
	if got := w.book.Balance(ledger.MinerAvailable(accountOf(1))); got != 0 {
		t.Errorf("account 1 has %d, wants 0", got)
	}
}

func TestSolo(t *testing.T) {
	w := newWorld(t, t.TempDir(), "solo", "")
	defer w.stop()
	e := w.edge("a", 7)
	share := w.share(1, wn)
	share.Scheme = pool.SchemeSOLO
	e.write(t, share)
	w.flush()
	w.streams.deliver(t, w.candidate("s", e, 1, e.shares[0]))
	w.node.mine("s", pays(script(1), reward-50), pays(rewardScript, 50))
	w.settle()
	for range maturity {
		w.node.mine(time.Now().String())
	}
	w.settle()
	doc := w.doc(block("s"))
	if doc.State != ledger.BlockMature || doc.Window != nil || doc.Fee != 50 || doc.Value != 50 || len(doc.Credits) != 0 ||
		len(doc.PaidByCoinbase) != 1 || doc.PaidByCoinbase[0] != (pool.Credit{Account: accountOf(1), Amount: reward - 50}) {
		t.Errorf("solo block: %+v", doc)
	}
	if w.book.Balance(ledger.Wallet) != 50 || w.book.Balance(ledger.PoolFee) != 50 {
		t.Error("the fee of a solo block is not in the book")
	}
	if w.s.fold.store.Last() != 0 || w.s.fold.open.counts.Solo != 1 || !w.s.fold.open.score.IsZero() {
		t.Error("a solo share entered or ended a window")
	}
}

// A solo block in a shared pool ends no window and takes nothing from it.
func TestSoloBlockInSharedPool(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	e := w.edge("a", 7)
	solo := w.share(1, wn/4000)
	solo.Scheme = pool.SchemeSOLO
	e.write(t, w.share(2, wn/4000), solo)
	w.flush()
	w.streams.deliver(t, w.candidate("s", e, 1, e.shares[1]))
	w.node.mine("s", pays(script(1), reward-50), pays(rewardScript, 50))
	w.settle()
	if doc := w.doc(block("s")); doc.Scheme != "solo" || doc.Window != nil || len(doc.Credits) != 0 {
		t.Errorf("solo block: %+v", doc)
	}
	if w.s.fold.store.Last() != 0 {
		t.Error("a solo block closed a slice")
	}
}

// The three ways in which a candidate's share relates to the fold, each delivered twice and again after
// a restart: the share counts once.
func TestCandidateShareCountsOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		sent   bool // the share's journal block is in the stream before the candidate
		change func(*pool.Share)
		shares uint64 // counted in all, of 3 journalled
		weight bool   // the finder has a weight in the window
	}{
		"folded":        {true, func(*pool.Share) {}, 3, true},
		"not yet":       {false, func(*pool.Share) {}, 3, true},
		"not journaled": {false, func(s *pool.Share) { s.Seq = 0 }, 4, true},
		"stale":         {false, func(s *pool.Share) { s.Seq, s.Credit = 0, pool.Work{} }, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), "pplns", "2")
			e := w.edge("a", 7)
			e.write(t, w.share(1, wn/4000))
			w.flush()
			w.settle()
			e.write(t, w.share(2, wn/4000), w.share(3, wn/4000))
			if tt.sent {
				w.flush()
				w.settle()
			}
			share := e.shares[2]
			tt.change(&share)
			c := w.candidate("b", e, 1, share)
			w.streams.deliver(t, c)
			w.streams.deliver(t, c)
			w.settle()
			w.streams.deliver(t, c)
			w.stop()
			w.start()
			defer w.stop()
			w.settle()
			w.flush()
			w.settle()
			w.node.mine("b", pays(rewardScript, reward))
			w.settle()
			counted := w.s.fold.open.counts.Shares
			for n := uint64(1); n <= w.s.fold.store.Last(); n++ {
				s, err := w.s.fold.store.Read(n)
				if err != nil {
					t.Fatal(err)
				}
				counted += s.Shares
			}
			if counted != tt.shares {
				t.Errorf("%d shares were counted, want %d", counted, tt.shares)
			}
			if w.s.fold.store.Last() != 1 {
				t.Errorf("%d slices were closed", w.s.fold.store.Last())
			}
			got := w.book.Balance(ledger.MinerImmature(accountOf(3)))
			if (got > 0) != tt.weight {
				t.Errorf("the finder was credited %d", got)
			}
			if len(w.s.fold.skips) != 0 {
				t.Errorf("skips %v are left", w.s.fold.skips)
			}
		})
	}
}

// A block that only the chain tells of ends the window without a share; the candidate that comes late
// only adds its name.
func TestLearntFromChain(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/4000))
	w.flush()
	w.settle()
	w.node.mine("x", pays([]byte("somebody"), reward))
	w.node.mine("b", pays(rewardScript, reward))
	if err := w.turn(time.Second); err != nil {
		t.Fatal(err)
	}
	if w.book.Has(ledger.SetBlocks, block("b").String()) {
		t.Error("the edges were given no time to tell")
	}
	w.settle()
	doc := w.doc(block("b"))
	if doc.State != ledger.BlockImmature || doc.Finder != nil || doc.Window.Last != 1 || doc.Bits != testBits || doc.Time != 1_700_000_000_000 {
		t.Errorf("block from the chain: %+v", doc)
	}
	if w.book.Has(ledger.SetBlocks, block("x").String()) {
		t.Error("another's block was taken in")
	}
	e.write(t, w.share(2, wn/4000))
	w.streams.deliver(t, w.candidate("b", e, 2, e.shares[1]))
	w.flush()
	w.settle()
	doc = w.doc(block("b"))
	if doc.Finder == nil || *doc.Finder != accountOf(2) || doc.State != ledger.BlockImmature || len(doc.Credits) != 1 {
		t.Errorf("late candidate: %+v", doc)
	}
	if w.s.fold.store.Last() != 1 || w.s.fold.open.counts.Shares != 1 {
		t.Error("the share of a late candidate did not count where its stream delivers it")
	}
}

func TestRejected(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/4000))
	w.streams.deliver(t, w.candidate("nobody", e, 1, e.shares[0]))
	w.settle()
	for i := range rejectDepth {
		w.node.mine(string(rune('a' + i)))
		w.settle()
		if doc := w.doc(block("nobody")); doc.State != ledger.BlockSubmitted {
			t.Fatalf("%s with %d blocks on top", doc.State, i)
		}
	}
	w.node.down = true
	w.node.mine("z")
	w.settle()
	if doc := w.doc(block("nobody")); doc.State != ledger.BlockSubmitted {
		t.Errorf("%s although the node says nothing", doc.State)
	}
	w.node.down = false
	w.settle()
	if doc := w.doc(block("nobody")); doc.State != ledger.BlockRejected {
		t.Errorf("%s at last", doc.State)
	}
}

// Following the chain costs a handful of calls a tip, however many blocks are watched.
func TestChainIsCheap(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/4000))
	w.flush()
	for i := range 12 {
		name := "own" + string(rune('a'+i))
		w.streams.deliver(t, w.candidate(name, e, int64(i+1), pool.Share{Scheme: pool.SchemePPLNS}))
		w.node.mine(name, pays(rewardScript, reward))
		w.settle()
	}
	before := w.node.calls
	w.settle()
	if n := w.node.calls - before; n > 8 {
		t.Errorf("%d calls for a chain at rest in 8 looks", n)
	}
	before = w.node.calls
	w.node.mine("other")
	w.settle()
	if n := w.node.calls - before; n > 20 {
		t.Errorf("%d calls for one new tip", n)
	}
}

func TestFeeSchedule(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	var doc ledger.FeeDoc
	if ok, err := ledger.Decode(w.book, ledger.SetFees, "1", &doc); !ok || err != nil || doc.PPM != testPPM || doc.Version != 1 {
		t.Fatalf("first version %+v, %v, %v", doc, ok, err)
	}
	if err := ledger.OpenFees(w.book, 99, w.log); err != nil {
		t.Fatal(err)
	}
	again, err := ledger.ReadFees(w.book)
	if err != nil || len(again) != 1 || again.At(1_000_000, "pplns").PPM != testPPM {
		t.Errorf("another configuration: %+v, %v", again, err)
	}
	later := append(again, ledger.FeeDoc{Version: 2, PPM: 7, Height: 100})
	if later.At(99, "pplns").Version != 1 || later.At(100, "pplns").Version != 2 {
		t.Error("effective height")
	}
}

// An account with a fee of its own pays that in PPLNS blocks and when it finds a SOLO block; every file of it
// is verified and explained.
func TestAccountFees(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	people := ledger.Decision{Author: "ann", Approver: "bob", Reason: "a friend"}
	one, two := accountOf(1), accountOf(2)
	for _, doc := range []ledger.FeeDoc{
		{PPM: 0, Height: 1, Account: &one}, {PPM: 500_000, Height: 2, Account: &two, Scheme: "pplns"},
		{PPM: 7, Height: 1, Scheme: "solo"}, {Height: 3, Account: &one, Standard: true},
	} {
		if _, err := ledger.ChangeFee(w.book, doc, people); err != nil {
			t.Fatal(err)
		}
	}
	e := w.edge("a", 7)
	for height, name := range []string{1: "b1", 2: "b2", 3: "b3"} {
		if name == "" {
			continue
		}
		before := len(e.shares)
		for i := 1; i <= 3; i++ {
			s := w.share(i, wn/3)
			s.Hash = [16]byte{byte(height), byte(i)}
			e.write(t, s)
		}
		w.flush()
		w.settle()
		w.streams.deliver(t, w.candidate(name, e, int64(height), e.shares[before+2]))
		w.node.mine(name, pays(rewardScript, reward))
		w.settle()
	}
	gross := func(ppm int64) pool.Amount { return pool.Amount(reward / 3 * (1_000_000 - ppm) / 1_000_000) }
	for name, want := range map[string][3]int64{"b1": {0, testPPM, testPPM}, "b2": {0, 500_000, testPPM}, "b3": {testPPM, 500_000, testPPM}} {
		doc := w.doc(block(name))
		for i, ppm := range want {
			got := doc.Credits[indexOf(doc.Credits, accountOf(i+1))].Amount
			if d := got - gross(ppm); d < -2 || d > 2 {
				t.Errorf("%s: account %d was credited %d, wants %d", name, i+1, got, gross(ppm))
			}
			x, err := audit.Explain(w.audit().Dir, testPool, w.book, &doc, accountOf(i+1), w.scheme)
			if err != nil || x.Amount != got || x.Unit < 0 || x.Unit > 1 || x.Own != (ppm != testPPM) {
				t.Errorf("%s: %+v, %v", name, x, err)
			}
		}
	}
	for i, finder := range []int{1, 2} { // of these only 2 has none of its own for SOLO
		s := w.share(finder, wn)
		s.Scheme, s.Hash = pool.SchemeSOLO, [16]byte{9, byte(i)}
		e.write(t, s)
		w.flush()
		name := fmt.Sprintf("s%d", finder)
		w.streams.deliver(t, w.candidate(name, e, 2, e.shares[len(e.shares)-1]))
		w.settle()
		if doc, want := w.doc(block(name)), []uint32{0, 7}[i]; doc.FeePPM != want || doc.Scheme != "solo" {
			t.Errorf("%s: fee %d ppm of version %d, wants %d", name, doc.FeePPM, doc.FeeVersion, want)
		}
	}
	a, err := audit.Run(w.audit())
	if err != nil || a.Blocks != 3 || len(a.Problems) > 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestStreamsThatDoNotGoOn(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/4000))
	e.write(t, w.share(1, wn/4000))
	e.write(t, w.share(1, wn/4000))
	other := &toyEdge{id: e.id}
	other.write(t, w.share(9, wn/4000))
	f := w.s.fold
	block := func(raw []byte, fresh int, fail bool) {
		t.Helper()
		before := f.dump()
		n, err := f.block(e.id, raw)
		if n != fresh || (err != nil) != fail {
			t.Errorf("%d fresh shares, %v", n, err)
		}
		if fresh == 0 && f.dump() != before {
			t.Error("the state changed")
		}
	}
	block(e.blocks[1], 0, true) // a gap
	block(e.blocks[0], 1, false)
	block(e.blocks[0], 0, false) // again
	other.write(t, w.share(9, wn/4000))
	block(other.blocks[1], 0, true) // another history
	block(e.blocks[1][:40], 0, true)
	block(e.blocks[1], 1, false)
	bad := w.share(1, 1)
	bad.Bits = 0
	e.write(t, w.share(1, wn/4000), bad)
	block(e.blocks[2], 1, false)
	block(e.blocks[3], 0, true) // no score: the block as a whole waits
	if _, err := f.block(slice.StreamID{Edge: "a", Epoch: 8}, e.blocks[0]); err == nil {
		t.Error("a block of another epoch")
	}
}

// A fee that was changed counts for blocks from its height on, and PROP's round goes from block to block
// but not to one that was orphaned.
func TestFeeChangeAndRounds(t *testing.T) {
	w := newWorld(t, t.TempDir(), "prop", "2")
	defer w.stop()
	e := w.edge("a", 7)
	find := func(name string, height int64, shares ...pool.Share) ledger.BlockDoc {
		t.Helper()
		e.write(t, shares...)
		w.flush()
		w.settle()
		w.streams.deliver(t, w.candidate(name, e, height, shares[len(shares)-1]))
		w.settle()
		w.node.mine(name, pays(rewardScript, reward))
		w.settle()
		return w.doc(block(name))
	}
	who := func(doc ledger.BlockDoc) (out []int) {
		for i := range 9 {
			for _, c := range doc.Credits {
				if c.Account == accountOf(i) {
					out = append(out, i)
				}
			}
		}
		return out
	}
	first := find("b1", 1, w.share(1, wn/8), w.share(2, wn/8))
	if _, err := ledger.ChangeFee(w.book, ledger.FeeDoc{PPM: 50_000, Height: 3}, ledger.Decision{Author: "ann", Approver: "bob", Reason: "costs"}); err != nil {
		t.Fatal(err)
	}
	second := find("b2", 2, w.share(3, wn/8))
	third := find("b3", 3, w.share(4, wn/8), w.share(5, wn/8))
	if first.FeeVersion != 1 || second.FeeVersion != 1 || third.FeeVersion != 2 || third.Fee != reward*5/100 {
		t.Errorf("fee versions %d, %d, %d; fee %d", first.FeeVersion, second.FeeVersion, third.FeeVersion, third.Fee)
	}
	if got := who(first); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("first round: %v", got)
	}
	if got := who(third); !slices.Equal(got, []int{4, 5}) {
		t.Errorf("third round: %v", got)
	}
	w.node.active = w.node.active[:3] // b3 is orphaned
	w.node.mine("other")
	w.node.mine("above")
	w.settle()
	if got := w.doc(block("b3")); got.State != ledger.BlockOrphaned {
		t.Fatalf("b3 is %s", got.State)
	}
	if got := who(find("b4", 5, w.share(6, wn/8))); !slices.Equal(got, []int{4, 5, 6}) {
		t.Errorf("the orphaned round's shares and the new: %v", got)
	}
	a, err := audit.Run(w.audit())
	if err != nil || len(a.Problems) > 0 || a.Blocks != 4 {
		t.Errorf("audit: %+v, %v", a, err)
	}
}
