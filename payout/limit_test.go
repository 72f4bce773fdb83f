package payout

import (
	"testing"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// What rigs ask for is booked once, counts from then on, never below the pool's own threshold, and never against
// what the owner has signed.
func TestTakeLimits(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(1)
	id := pool.AccountOf(testPool, w.miners[0])
	take := func(limit pool.Amount) {
		t.Helper()
		head := w.book.Head().Seq
		limits := []pool.PayoutLimit{{Account: id, Limit: limit}, {Account: pool.AccountID{9}, Limit: 1}}
		for range 2 {
			if err := w.pay.TakeLimits(t.Context(), limits); err != nil {
				t.Fatal(err)
			}
		}
		if n := w.book.Head().Seq - head; n > 1 {
			t.Errorf("%d entries for one limit", n)
		}
	}
	paid := func() bool {
		t.Helper()
		docs, _, err := w.pay.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range docs[0].Payees {
			if q.Account == id {
				return true
			}
		}
		return false
	}
	take(1_000_000_000)
	w.restart()
	if paid() {
		t.Error("paid below the limit that its rigs ask for")
	}
	take(1)
	if !paid() {
		t.Error("not paid above the limit")
	}
	w.opts.Threshold = 1_900_000 // between the first miner's balance and the others'
	w.restart()
	w.rich(1)
	if docs, _, err := w.pay.Plan(t.Context()); err != nil || len(docs[0].Payees) != 2 {
		t.Errorf("%v: a limit below the pool's threshold counts: %+v", err, docs)
	}
	doc, err := w.pay.Payee(id.String())
	if err != nil || doc.Terms.Threshold != 1 || doc.Terms.By != OrderPassword {
		t.Fatalf("%+v, %v", doc, err)
	}
	doc.Terms = Terms{Threshold: 7, By: OrderSignature}
	if err := w.pay.postSetting(SetPayees, id.String(), "payee.terms", 0, doc); err != nil {
		t.Fatal(err)
	}
	take(1_000_000_000)
	if doc, _ = w.pay.Payee(id.String()); doc.Terms.Threshold != 7 {
		t.Errorf("signed terms were overruled: %+v", doc.Terms)
	}
}
