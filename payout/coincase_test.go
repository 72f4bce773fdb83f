package payout

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// decide opens a case and has it approved, and returns the coin's document.
func (w *world) decide(what string, coin build.Outpoint, account *pool.AccountID) *CoinDoc {
	w.t.Helper()
	ctx := context.Background()
	if _, err := w.pay.CoinCase(ctx, what, coin, account, "ann", "looked into it"); err != nil {
		w.t.Fatalf("open %s: %v", what, err)
	}
	if _, err := w.pay.ApproveCoin(ctx, coin, "Ann", nil); !errors.Is(err, ErrApproval) {
		w.t.Errorf("its author approved a %s: %v", what, err)
	}
	doc, err := w.pay.ApproveCoin(ctx, coin, "bob", nil)
	if err != nil {
		w.t.Fatalf("approve %s: %v", what, err)
	}
	if _, err := w.pay.ApproveCoin(ctx, coin, "carol", nil); !errors.Is(err, ErrState) {
		w.t.Errorf("a booked %s was approved again: %v", what, err)
	}
	w.restart()
	return doc
}

func (w *world) agrees(full bool) {
	w.t.Helper()
	if r, err := w.pay.Reconcile(context.Background(), full); err != nil || !r.OK() {
		w.t.Fatalf("%+v, %v", r, err)
	}
}

// A coin that was stolen stops payouts; written off by two people, its value is an expense and payouts go on. It
// can be taken back while it is there again, and neither before nor twice.
func TestWriteOff(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(3)
	w.list()
	free, err := w.pay.fold.coins(true)
	if err != nil {
		t.Fatal(err)
	}
	coin := free.rest[len(free.rest)-1]
	refused := func(why, what string, o build.Outpoint, want error) {
		t.Helper()
		head := w.book.Head()
		if _, err := w.pay.CoinCase(ctx, what, o, nil, "ann", "looked into it"); !errors.Is(err, want) {
			t.Errorf("%s: %v", why, err)
		}
		if w.book.Head() != head {
			t.Errorf("%s: something was posted", why)
		}
	}
	refused("a coin that is unspent", CaseWriteOff, coin.Outpoint, ErrState)
	refused("no coin of the ledger", CaseWriteOff, build.Outpoint{}, ErrState)
	refused("not written off", CaseRestore, coin.Outpoint, ErrState)
	refused("no receipt", CaseTakeIn, coin.Outpoint, ErrState)
	refused("no case", "give", coin.Outpoint, ErrDecision)
	w.steal(coin.Outpoint, coin.Value)
	w.mine(scanLag + 1)
	if err := w.run(); !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrCoinGone) {
		t.Fatalf("payouts go on with a stolen coin: %v", err)
	}
	if _, err := w.pay.CoinCase(ctx, CaseWriteOff, coin.Outpoint, nil, "ann", " "); !errors.Is(err, ErrDecision) {
		t.Errorf("without a reason: %v", err)
	}
	before := w.book.Balance(ledger.Wallet)
	if d := w.decide(CaseWriteOff, coin.Outpoint, nil); d.Standing != CoinLost || d.Value != coin.Value {
		t.Errorf("%+v", d)
	}
	if got := before - w.book.Balance(ledger.Wallet); got != coin.Value || w.book.Balance(WrittenOff) != coin.Value {
		t.Errorf("the wallet has %d less, %d are written off, the coin was worth %d", got, w.book.Balance(WrittenOff), coin.Value)
	}
	w.agrees(true)
	refused("written off already", CaseWriteOff, coin.Outpoint, ErrState)
	refused("not there again", CaseRestore, coin.Outpoint, ErrState)
	w.rich(2)
	w.finish()
	w.agrees(true)
	_, coins, err := w.pay.Suspense()
	if err != nil || len(coins) != 1 || coins[0].Coin != coin.Outpoint {
		t.Errorf("%+v, %v", coins, err)
	}
}

// A coin that comes back by a reorganisation is warned of and taken back.
func TestRestore(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.list()
	free, err := w.pay.fold.coins(true)
	if err != nil {
		t.Fatal(err)
	}
	coin := free.rest[0]
	w.steal(coin.Outpoint, coin.Value)
	w.decide(CaseWriteOff, coin.Outpoint, nil)
	w.node.reorg(1, true, false)
	r, err := w.pay.Reconcile(context.Background(), false)
	if err != nil || !r.OK() || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].What, coin.Outpoint.String()) {
		t.Fatalf("%+v, %v", r, err)
	}
	w.decide(CaseRestore, coin.Outpoint, nil)
	if w.book.Balance(WrittenOff) != 0 {
		t.Error("it is still written off")
	}
	w.finish()
	w.agrees(true)
}

// What somebody sent is taken in when it is deep enough, for an account, and is spent like other coins.
func TestTakeIn(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.finish()
	coin := w.gift(100_000)
	w.mine(scanLag + 1)
	id := pool.AccountOf(testPool, w.miners[3])
	if _, err := w.pay.CoinCase(ctx, CaseTakeIn, coin, &id, "ann", "sent for him"); !errors.Is(err, ErrState) {
		t.Errorf("taken in before it was booked: %v", err)
	}
	w.agrees(false)
	unknown := pool.AccountID{1}
	if _, err := w.pay.CoinCase(ctx, CaseTakeIn, coin, &unknown, "ann", "sent for nobody"); !errors.Is(err, ErrNoAccount) {
		t.Errorf("for no account: %v", err)
	}
	receipts, _, err := w.pay.Suspense()
	if err != nil || len(receipts) != 1 || receipts[0].Coin != coin {
		t.Fatalf("%+v, %v", receipts, err)
	}
	before := w.book.Balance(ledger.MinerAvailable(id))
	w.decide(CaseTakeIn, coin, &id)
	if got := w.book.Balance(ledger.MinerAvailable(id)) - before; got != 100_000 {
		t.Errorf("%d were credited", got)
	}
	if w.book.Balance(Receipts) != 0 || w.book.Balance(ledger.SuspenseUnknown) != 0 {
		t.Error("something is left in suspense")
	}
	w.credited[3] += 100_000
	w.agrees(true)
	w.opts.SweepBelow = 100_000 // take it along
	w.restart()
	w.rich(1)
	w.finish()
	spent := false
	for _, d := range w.list() {
		for _, in := range d.Inputs {
			spent = spent || in.Outpoint == coin
		}
	}
	if !spent {
		t.Error("it was never spent")
	}
	w.agrees(true)
}

// With a policy of two the signatures of two others count, and what is signed names all of the case.
func TestCoinCaseByTwo(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	approvers, keys := people("alice", "bob", "carol")
	w.opts.Approvers, w.opts.Policy = approvers, PolicyTwo
	w.restart()
	w.rich(1)
	w.list()
	free, err := w.pay.fold.coins(true)
	if err != nil {
		t.Fatal(err)
	}
	coin := free.rest[0]
	w.steal(coin.Outpoint, coin.Value)
	doc, err := w.pay.CoinCase(ctx, CaseWriteOff, coin.Outpoint, nil, "alice", "stolen")
	if err != nil {
		t.Fatal(err)
	}
	approve := func(by, thing string) error {
		_, err := w.pay.ApproveCoin(ctx, coin.Outpoint, by, signed(keys[by], thing))
		return err
	}
	thing := CoinThing(doc)
	for by, text := range map[string]string{"alice": thing, "bob": thing + "!", "carol": "0" + thing} {
		if err := approve(by, text); !errors.Is(err, ErrApproval) {
			t.Errorf("%s: %v", by, err)
		}
	}
	if err := approve("bob", thing); err != nil {
		t.Fatal(err)
	}
	if w.book.Balance(WrittenOff) != 0 {
		t.Fatal("booked with one approval")
	}
	if err := approve("bob", thing); !errors.Is(err, ErrApproval) {
		t.Errorf("approved twice: %v", err)
	}
	if err := approve("carol", thing); err != nil {
		t.Fatal(err)
	}
	if w.book.Balance(WrittenOff) != coin.Value {
		t.Error("not booked")
	}
	w.agrees(true)
}

func signed(key ed25519.PrivateKey, thing string) []byte {
	return ed25519.Sign(key, ApprovalText(testPool, thing))
}
