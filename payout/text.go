package payout

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
)

// WriteBatch writes one batch for a person to read: history, payees, inputs and outputs. Times are UTC.
func WriteBatch(w io.Writer, d *BatchDoc, params *pool.Params) error {
	t := newText(w, params)
	t.line("payout %s, pool %s: %s", d.ID, d.Pool, d.State)
	switch {
	case d.Kind == KindFan:
		t.line("funds the %d transactions of run %s", d.Parts, d.Run)
	case d.Kind != "":
		t.line("%s of %s", d.Kind, d.Of)
	case d.Parts > 1:
		t.line("transaction %d of %d in run %s", d.Part, d.Parts, d.Run)
	}
	if d.Author != "" {
		t.line("by %s", d.Author)
	}
	for _, v := range d.Earlier {
		t.line("replaces\t%s, fee %s", v.TxID, t.amount(v.Fee))
	}
	if d.Reason != "" {
		t.line("reason: %s", d.Reason)
	}
	t.line("")
	for _, s := range d.Steps {
		note := ""
		if s.Note != "" {
			note = "  " + s.Note
		}
		t.line("  %s\t%s%s", s.State, stamp(s.Time), note)
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

// WriteRun writes a run: the batch at a place in full, and one line each for the others.
func WriteRun(w io.Writer, docs []*BatchDoc, at int, params *pool.Params) error {
	if len(docs) > 1 {
		t := newText(w, params)
		t.line("run %s, %d transactions and one that funds them", docs[0].run(), docs[0].Parts)
		t.line("")
		t.list(docs)
		t.line("")
		if err := t.flush(); err != nil {
			return err
		}
	}
	return WriteBatch(w, docs[at], params)
}

// WriteStatus writes where payouts stand.
func WriteStatus(w io.Writer, s *Status, params *pool.Params) error {
	t := newText(w, params)
	if s.Halt != nil {
		t.line("HALTED by %s: %s", s.Halt.By, s.Halt.Reason)
	}
	t.line("policy\t%s", s.Policy)
	t.line("free coins\t%d, %s", s.Coins, t.amount(s.Free))
	if s.Baton != nil {
		t.line("baton\t%s", s.Baton)
	}
	if s.Scan != nil {
		t.line("chain compared up to\t%d", s.Scan.Height)
	}
	t.line("next\t%s", s.Next)
	if len(s.Open) > 0 {
		t.line("")
		t.list(s.Open)
	}
	if len(s.Held) > 0 {
		t.line("")
		t.line("held account\tsource\treason")
	}
	for _, h := range s.Held {
		t.line("%s\t%s\t%s", h.Account, h.Hold.Source, h.Hold.Reason)
	}
	return t.flush()
}

// WritePayee writes how one account is paid.
func WritePayee(w io.Writer, d *PayeeDoc, params *pool.Params) error {
	t := newText(w, params)
	t.line("account\t%s", d.Account)
	t.line("orders taken\t%d", d.Counter)
	if d.Terms.Threshold > 0 {
		t.line("threshold\t%s, by %s", t.amount(d.Terms.Threshold), d.Terms.By)
	}
	if d.Terms.Period != Always {
		t.line("paid at most\t%s", d.Terms.Period)
	}
	if d.Terms.Paused {
		t.line("paused\tby its owner")
	}
	if h := d.Hold; h != nil {
		t.line("held\tby %s since %s: %s (%d released)", strings.TrimSpace(h.Source+" "+h.By), stamp(h.Time), h.Reason, len(h.Releases))
	}
	for _, x := range d.Destinations {
		state := "from " + stamp(x.From)
		switch {
		case x.Withdrawn:
			state = "withdrawn"
		case len(x.Approvals) < x.Needs:
			state = fmt.Sprintf("%d of %d approvals", len(x.Approvals), x.Needs)
		}
		t.line("destination\t%s\t%s, by %s", x.Address, state, x.How)
	}
	return t.flush()
}

// WriteCoin writes what was decided about one coin.
func WriteCoin(w io.Writer, d *CoinDoc, params *pool.Params) error {
	t := newText(w, params)
	t.coin(d)
	return t.flush()
}

func (t *text) coin(d *CoinDoc) {
	t.line("coin\t%s, %s\t%s", d.Coin, t.amount(d.Value), d.Standing)
	c := d.Case
	if c == nil {
		return
	}
	to := ""
	if c.Account != nil {
		to = " for account " + c.Account.String()
	}
	state := "booked"
	if len(c.Approvals) < c.Needs {
		state = fmt.Sprintf("%d of %d approvals", len(c.Approvals), c.Needs)
	}
	t.line("  %s%s\tby %s, %s: %s\t%s", c.What, to, c.Author, stamp(c.Time), c.Reason, state)
	for _, a := range c.Approvals {
		t.line("  approved\tby %s, %s", a.By, stamp(a.Time))
	}
}

// WriteSuspense writes the receipts that nobody has explained, and the coins that people decided on.
func WriteSuspense(w io.Writer, receipts []ReceiptDoc, coins []CoinDoc, params *pool.Params) error {
	t := newText(w, params)
	if len(receipts) == 0 {
		t.line("nothing is in suspense")
	}
	for _, r := range receipts {
		t.line("receipt\t%s, %s\tblock %d", r.Coin, t.amount(r.Value), r.Height)
	}
	for i := range coins {
		t.coin(&coins[i])
	}
	return t.flush()
}

// WriteDirect writes whom coinbases pay, and who is in no payout because of that.
func WriteDirect(w io.Writer, d *DirectStatus, params *pool.Params) error {
	t, list := newText(w, params), d.List
	if list == nil {
		t.line("no coinbase has paid anybody but the pool")
		return t.flush()
	}
	t.line("for blocks on top of\t%s (height %d)", list.Tip, list.Height)
	t.line("issued until\t%s", stamp(list.Expires))
	for _, q := range list.Payees {
		t.line("  %s\t%s", q.Account, t.amount(q.Amount))
	}
	t.line("in no payout while a block may still pay them\t%d accounts", len(d.Waiting))
	return t.flush()
}

func stamp(milli int64) string { return time.UnixMilli(milli).UTC().Format("2006-01-02 15:04:05") }

// WritePlan writes what a payout would do now, for a dry run, and how it differs from the last one.
func WritePlan(w io.Writer, docs []*BatchDoc, diff *Diff, params *pool.Params) error {
	t := newText(w, params)
	t.line("dry run: nothing was booked or sent")
	t.line("")
	t.diff(diff)
	for i, d := range docs {
		if i > 0 {
			t.line("")
		}
		switch {
		case d.Kind == KindFan:
			t.line("transaction that funds the %d others", d.Parts)
		case d.Parts > 1:
			t.line("transaction %d of %d", d.Part, d.Parts)
		}
		t.totals(d)
		switch {
		case d.Parts > 1 && d.Kind == "":
		case len(d.Inputs) > 0 && d.Inputs[0].Kind == build.KindBaton:
			t.line("baton\t%s", d.Inputs[0].Outpoint)
		default:
			t.line("baton\tnone yet: this is the first payout and makes it")
		}
		t.coins(d)
		t.payees("payees", d.Payees)
		t.payees("held", d.Held)
	}
	return t.flush()
}

// diff writes what a person looks at first.
func (t *text) diff(x *Diff) {
	if x.Last == "" {
		t.line("this is the first payout: nobody was paid before")
	} else {
		t.line("compared with\t%.12s", x.Last)
		t.line("total\t%s\tbefore %s", t.amount(x.Total), t.amount(x.LastTotal))
		t.line("network fee\t%s\tbefore %s", t.amount(x.Fee), t.amount(x.LastFee))
		t.line("never paid before\t%d", len(x.New))
		t.line("paid elsewhere before\t%d", len(x.Changed))
		t.line("unusually large\t%d", len(x.Large))
		t.payees("never paid before", x.New)
		t.payees("paid elsewhere before", x.Changed)
		t.payees("unusually large: over the last mean by more than 3 standard deviations", x.Large)
	}
	t.line("")
}

// WriteList writes one line a batch, newest first.
func WriteList(w io.Writer, batches []*BatchDoc, params *pool.Params) error {
	t := newText(w, params)
	newest := slices.Clone(batches)
	slices.Reverse(newest)
	t.list(newest)
	return t.flush()
}

func (t *text) list(batches []*BatchDoc) {
	t.line("payout\tstate\tsince (UTC)\tpayees\t%s\ttransaction", t.params.Symbol)
	for _, d := range batches {
		txid, since := "-", int64(0)
		if d.TxID != nil {
			txid = d.TxID.String()
		}
		if n := len(d.Steps); n > 0 {
			since = d.Steps[n-1].Time
		}
		payees := fmt.Sprint(len(d.Payees))
		if d.Kind != "" {
			payees = d.Kind
		}
		t.line("%.12s\t%s\t%s\t%s\t%s\t%s", d.ID, d.State, stamp(since), payees, d.Total.Format(t.params.Decimals), txid)
	}
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
	if r.ScanLast >= r.ScanFirst && r.ScanLast > 0 {
		t.line("blocks %d to %d were compared with the ledger", r.ScanFirst, r.ScanLast)
	}
	if r.Audited {
		t.line("shares, slices, credits and fees were recomputed")
	}
	for _, d := range r.Warnings {
		t.line("warning, %s: %s", t.amount(d.Amount), d.What)
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
		t.line("network fee\t%s (%d vB at %d per kvB, paid by the %s)", t.amount(d.Fee), d.VSize, int64(d.FeeRate), cmp.Or(d.FeeFrom, FeeFromPool))
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
		if o.Kind == build.KindChange {
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
			if q.Fee > 0 {
				note += fmt.Sprintf(", less %s network fee", q.Fee.Format(t.params.Decimals))
			}
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
