package payout

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/adit-pool/adit/pool"
)

// WriteBatch writes one batch for a person to read: history, payees, inputs and outputs. Times are UTC.
func WriteBatch(w io.Writer, d *BatchDoc, params *pool.Params) error {
	t := newText(w, params)
	t.line("payout %s, pool %s: %s", d.ID, d.Pool, d.State)
	if d.Reason != "" {
		t.line("reason: %s", d.Reason)
	}
	t.line("")
	for _, s := range d.Steps {
		note := ""
		if s.Note != "" {
			note = "  " + s.Note
		}
		t.line("  %s\t%s%s", s.State, time.UnixMilli(s.Time).UTC().Format("2006-01-02 15:04:05"), note)
	}
	t.line("")
	t.totals(d)
	if d.TxID != nil {
		t.line("transaction\t%s", d.TxID)
	}
	if d.Block != nil {
		t.line("block\t%s (height %d)", d.Block, d.Height)
	}
	if baton, value, ok := d.Baton(); ok {
		t.line("baton made\t%s (%s)", baton, t.amount(value))
	}
	t.coins(d)
	t.payees("payees", d.Payees)
	t.payees("held", d.Held)
	return t.flush()
}

// WritePlan writes what a payout would do now, for a dry run.
func WritePlan(w io.Writer, d *BatchDoc, params *pool.Params) error {
	t := newText(w, params)
	t.line("dry run: nothing was booked or sent")
	t.line("")
	t.totals(d)
	if len(d.Inputs) > 0 && d.Inputs[0].Kind == KindBaton {
		t.line("baton\t%s", d.Inputs[0].Outpoint)
	} else {
		t.line("baton\tnone yet: this is the first payout and makes it")
	}
	t.coins(d)
	t.payees("payees", d.Payees)
	t.payees("held", d.Held)
	return t.flush()
}

// WriteList writes one line a batch, newest first.
func WriteList(w io.Writer, batches []*BatchDoc, params *pool.Params) error {
	t := newText(w, params)
	t.line("payout\tstate\tsince (UTC)\tpayees\t%s\ttransaction", params.Symbol)
	for i := len(batches) - 1; i >= 0; i-- {
		d := batches[i]
		txid, since := "-", int64(0)
		if d.TxID != nil {
			txid = d.TxID.String()
		}
		if n := len(d.Steps); n > 0 {
			since = d.Steps[n-1].Time
		}
		t.line("%.12s\t%s\t%s\t%d\t%s\t%s", d.ID, d.State, time.UnixMilli(since).UTC().Format("2006-01-02 15:04:05"),
			len(d.Payees), d.Total.Format(params.Decimals), txid)
	}
	return t.flush()
}

// WriteReconciliation writes a comparison of ledger and node.
func WriteReconciliation(w io.Writer, r *Reconciliation, params *pool.Params) error {
	t := newText(w, params)
	t.line("ledger entry\t%d", r.Seq)
	t.line("assets\t%s", t.amount(r.Assets))
	t.line("liabilities\t%s", t.amount(r.Liabilities))
	t.line("equity\t%s", t.amount(r.Equity))
	t.line("income\t%s", t.amount(r.Income))
	t.line("expense\t%s", t.amount(r.Expense))
	t.line("wallet\t%s", t.amount(r.Wallet))
	t.line("coins on the node\t%s", t.amount(r.OnNode))
	t.line("in flight\t%s", t.amount(r.InFlight))
	t.line("")
	if r.OK() {
		t.line("ledger and node agree on %d coins", r.Coins)
	}
	for _, d := range r.Unequal {
		t.line("differs by %s: %s", t.amount(d.Amount), d.What)
	}
	return t.flush()
}

// text writes aligned lines and keeps the first error.
type text struct {
	tab    *tabwriter.Writer
	params *pool.Params
	err    error
}

func newText(w io.Writer, params *pool.Params) *text {
	return &text{tab: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0), params: params}
}

func (t *text) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.tab, format+"\n", args...)
	}
}

func (t *text) amount(a pool.Amount) string {
	return a.Format(t.params.Decimals) + " " + t.params.Symbol
}

func (t *text) totals(d *BatchDoc) {
	t.line("payees\t%d", len(d.Payees))
	if d.Left > 0 {
		t.line("left for the next run\t%d", d.Left)
	}
	t.line("total\t%s", t.amount(d.Total))
	t.line("threshold\t%s", t.amount(d.Threshold))
	if d.VSize > 0 {
		t.line("network fee\t%s (%d vB at %d per kvB, paid by the pool)", t.amount(d.Fee), d.VSize, int64(d.FeeRate))
	}
	t.line("balances of\tledger entry %d", d.Seq)
}

func (t *text) coins(d *BatchDoc) {
	if len(d.Inputs) == 0 {
		return
	}
	t.line("")
	t.line("inputs\t%s", t.params.Symbol)
	for _, in := range d.Inputs {
		from := ""
		if in.Block != nil {
			from = fmt.Sprintf(" of block %d", in.Height)
		}
		t.line("  %s\t%s\t%s%s", in.Outpoint, in.Value.Format(t.params.Decimals), in.Kind, from)
	}
	for i, o := range d.Outputs {
		if o.Kind == KindChange {
			t.line("  change, output %d\t%s", i, o.Value.Format(t.params.Decimals))
		}
	}
}

func (t *text) payees(title string, payees []Payee) {
	if len(payees) == 0 {
		return
	}
	t.line("")
	t.line("%s\t%s", title, t.params.Symbol)
	for _, q := range payees {
		name := q.Address
		if name == "" {
			name = "account " + q.Account.String()
		}
		note := ""
		if q.Vout != nil {
			note = fmt.Sprintf("output %d", *q.Vout)
		}
		t.line("%s", strings.TrimRight(fmt.Sprintf("  %s\t%s\t%s%s", name, q.Amount.Format(t.params.Decimals), note, q.Reason), "\t"))
	}
}

func (t *text) flush() error {
	if t.err == nil {
		t.err = t.tab.Flush()
	}
	if t.err != nil {
		return fmt.Errorf("write payout: %w", t.err)
	}
	return nil
}
