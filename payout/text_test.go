package payout

import (
	"bytes"
	"context"
	"github.com/adit-pool/adit/payout/sign"
	"testing"

	"github.com/adit-pool/adit/pool/ledger"
)

// TestText holds what a person reads against files: a dry run, a batch, the list and a reconciliation.
func TestText(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	params := w.chain.Params()
	var out bytes.Buffer
	plan, diff, err := w.pay.Plan(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := WritePlan(&out, plan, diff, params); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.txt", out.String())
	w.finish()

	out.Reset()
	d := w.list()[0]
	if err := WriteBatch(&out, d, params); err != nil {
		t.Fatal(err)
	}
	contains(t, out.String(), d.ID, d.TxID.String(), "final")
	golden(t, "batch.txt", out.String())

	out.Reset()
	if err := WriteList(&out, w.list(), params); err != nil {
		t.Fatal(err)
	}
	golden(t, "list.txt", out.String())

	out.Reset()
	first := d.Outputs[0]
	w.post(ledger.Entry{Kind: "test.gift", Key: "lost", Postings: []ledger.Posting{
		{Debit: ledger.OperatorEquity, Credit: ledger.Wallet, Amount: first.Value}}})
	r, err := w.pay.Reconcile(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteReconciliation(&out, r, params); err != nil {
		t.Fatal(err)
	}
	golden(t, "reconciliation.txt", out.String())
}
