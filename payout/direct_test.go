package payout

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// directWorld is a world whose coinbases pay so many accounts.
func directWorld(t *testing.T, most int) *world {
	t.Helper()
	w := newWorld(t, sign.WPKH)
	w.opts.CoinbasePayees = most
	w.restart()
	w.rich(2)
	return w
}

// list makes the list of the tip and returns the miners that it names.
func (w *world) direct() (named []int) {
	w.t.Helper()
	if err := w.pay.ListPayees(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	s, err := w.pay.Direct(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	if s.List == nil {
		return nil
	}
	tip, _ := w.node.Tip(context.Background())
	if s.List.Tip != tip.Hash || s.List.Height != tip.Height {
		w.t.Fatalf("the list is for %s at %d", s.List.Tip, s.List.Height)
	}
	for _, q := range s.List.Payees {
		for i := range w.miners {
			if pool.AccountOf(testPool, w.miners[i]) == q.Account {
				named = append(named, i)
				if q.Amount != w.book.Balance(ledger.MinerAvailable(q.Account)) || string(q.Script) != string(w.miners[i]) {
					w.t.Errorf("miner %d is named with %d to %x", i, q.Amount, q.Script)
				}
			}
		}
	}
	return named
}

func (w *world) expect(why string, got []int, want ...int) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %v, want %v", why, got, want)
	}
}

// A list names those who are owed most; holds, the kill switch and thresholds count, and nothing is posted twice.
func TestListPayees(t *testing.T) {
	ctx := context.Background()
	w := directWorld(t, 3)
	w.expect("owed most", w.direct(), 0, 1, 2)
	head := w.book.Head()
	w.expect("again", w.direct(), 0, 1, 2)
	w.restart()
	w.expect("after a restart", w.direct(), 0, 1, 2)
	if w.book.Head() != head {
		t.Error("the same list was posted again")
	}
	id := func(i int) pool.AccountID { return pool.AccountOf(testPool, w.miners[i]) }
	if _, err := w.pay.Hold(id(1), "ann", "asked by a court"); err != nil {
		t.Fatal(err)
	}
	w.expect("one is held", w.direct()[:2], 0, 2)
	if _, err := w.pay.Halt(true, "ann", "a drill"); err != nil {
		t.Fatal(err)
	}
	w.expect("halted", w.direct())
	if _, err := w.pay.Halt(false, "ann", "it is over"); err != nil {
		t.Fatal(err)
	}
	if err := w.pay.TakeLimits(ctx, []pool.PayoutLimit{{Account: id(0), Limit: 1 << 50}}); err != nil {
		t.Fatal(err)
	}
	if got := w.direct(); slices.Contains(got, 0) || slices.Contains(got, 1) {
		t.Errorf("below its own threshold or held: %v", got)
	}
	path := filepath.Join(t.TempDir(), "deny")
	if err := os.WriteFile(path, []byte(w.pay.address(w.miners[2])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.opts.DenyFile = path
	w.restart()
	if got := w.direct(); slices.Contains(got, 2) || len(got) == 0 {
		t.Errorf("on the deny-list: %v", got)
	}
	before := w.pay.fold.list.Expires
	w.clock += listLife.Milliseconds()
	w.direct()
	if got := w.pay.fold.list.Expires; got <= before || time.UnixMilli(got).Sub(time.UnixMilli(w.clock)) < listLife/2 {
		t.Errorf("the list was not made anew: expires %d, now %d", got, w.clock)
	}
}

// Who is owed more than a block brings is left to payouts and stands in nobody's way.
func TestListFits(t *testing.T) {
	w := directWorld(t, 2)
	id := func(i int) pool.AccountID { return pool.AccountOf(testPool, w.miners[i]) }
	owed := func(i int) pool.Amount { return w.book.Balance(ledger.MinerAvailable(id(i))) }
	for _, c := range []struct {
		room pool.Amount
		want []int
	}{
		{owed(0) + owed(1), []int{0, 1}},
		{owed(0) + owed(2), []int{0, 2}},
		{owed(0) - 1, []int{1, 3}},
		{0, nil},
	} {
		payees, err := w.pay.chooseDirect(context.Background(), c.room)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, q := range payees {
			got = append(got, slices.IndexFunc(w.miners, func(script []byte) bool { return string(script) == string(q.Script) }))
		}
		w.expect("room for "+strconv.FormatInt(int64(c.room), 10), got, c.want...)
	}
}

// While settlement has not taken in a block of the pool there is no list on top of it, whatever node and ledger say
// in between: such a list could name whom that block has paid.
func TestListWaitsForSettlement(t *testing.T) {
	w := directWorld(t, 2)
	w.expect("before", w.direct(), 0, 1)
	for _, state := range []ledger.BlockState{"", ledger.BlockSubmitted, ledger.BlockOrphaned} {
		hash, tx := w.node.mine(w.reward, 5_000_000)
		if state != "" {
			w.post(ledger.Entry{Kind: "block." + string(state), Key: "b" + hash.String(), Subject: &ledger.Subject{Set: ledger.SetBlocks, ID: hash.String(), Rank: w.node.height()},
				Body: mustJSON(t, ledger.BlockDoc{Hash: hash, Height: w.node.height(), State: state, Coinbase: &ledger.Coinbase{TxID: pool.Hash(tx.TxHash())}})})
		}
		for range 2 {
			head := w.book.Head()
			if err := w.pay.ListPayees(context.Background()); !errors.Is(err, errUnsettled) || w.book.Head() != head {
				t.Errorf("block %q: %v", state, err)
			}
			w.node.mine(nil, 0)
		}
		w.node.reorg(3, true, false)
		w.expect("without the block", w.direct(), 0, 1)
	}
}

// An account is paid by coinbases or by payouts: who was named is in no payout until all jobs that pay him are
// retired, also after a restart, and who is in a payout is not named before that is done.
func TestNeverBoth(t *testing.T) {
	ctx := context.Background()
	w := directWorld(t, 2)
	w.expect("at first", w.direct(), 0, 1)
	for i := range retireDepth {
		docs, _, err := w.pay.Plan(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range docs[0].Payees {
			if q.Account == pool.AccountOf(testPool, w.miners[0]) || q.Account == pool.AccountOf(testPool, w.miners[1]) {
				t.Errorf("%d blocks later a payout would pay who is named", i)
			}
		}
		w.restart()
		w.mine(1)
	}
	w.opts.CoinbasePayees = 0 // switched off: lists are over
	w.restart()
	if docs, _, err := w.pay.Plan(ctx); err != nil || len(docs[0].Payees) != len(w.miners)-2 {
		t.Fatalf("one block too early: %+v, %v", docs, err)
	}
	w.mine(1)
	if docs, _, err := w.pay.Plan(ctx); err != nil || len(docs[0].Payees) != len(w.miners) {
		t.Fatalf("retired: %+v, %v", docs, err)
	}
	w.opts.CoinbasePayees = 2
	w.restart()
	d, err := w.pay.Draft(ctx, "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.direct(); len(got) != 0 {
		t.Errorf("named while a payout pays them: %v", got)
	}
	if _, err := w.pay.Cancel(ctx, d.ID, "ann", "was a test"); err != nil {
		t.Fatal(err)
	}
	w.expect("after the payout was given up", w.direct(), 0, 1)
}
