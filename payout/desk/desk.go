// Package desk answers what people ask of payouts by commands: one request in, one answer with its text and exit
// code out. It decides nothing itself.
package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Request is one command.
type Request struct {
	Command   string `json:"command"`
	ID        string `json:"id,omitempty"`      // of a run or batch, or its beginning
	Account   string `json:"account,omitempty"` // account id or address
	By        string `json:"by,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Yes       bool   `json:"yes,omitempty"`  // else the command says what it would do
	Rate      int64  `json:"rate,omitempty"` // base units per 1000 virtual bytes
	Export    bool   `json:"export,omitempty"`
	Full      bool   `json:"full,omitempty"`
	Address   string `json:"address,omitempty"` // new destination
	Threshold int64  `json:"threshold,omitempty"`
	Period    string `json:"period,omitempty"`
	Paused    bool   `json:"paused,omitempty"`
	Show      string `json:"show,omitempty"` // who sees an account
	Text      string `json:"text,omitempty"` // of a signed order; Signature is its base64
	Packet    []byte `json:"packet,omitempty"`
	Signature []byte `json:"signature,omitempty"`
	Coin      string `json:"coin,omitempty"` // TXID:VOUT
	Case      string `json:"case,omitempty"` // about Coin: write-off, restore or take-in
}

// Answer is what came of it.
type Answer struct {
	Result any
	Text   string
}

// Exit codes of commands, as documented in docs/payouts.md.
const (
	Done     = 0
	Failed   = 1
	Nothing  = 3 // nothing to pay
	Person   = 4 // a person must act: approve, sign, release, resume
	Differs  = 5 // the numbers do not match
	Conflict = 6 // an input was spent by somebody else
	Later    = 7 // node, fees, funds or limits do not allow it now
)

// Code is the exit code of an error.
func Code(err error) int {
	is := func(kinds ...error) bool {
		for _, k := range kinds {
			if errors.Is(err, k) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return Done
	case is(payout.ErrConflicted):
		return Conflict
	case is(payout.ErrMismatch, payout.ErrCoinGone):
		return Differs
	case is(payout.ErrNothing):
		return Nothing
	case is(payout.ErrApproval, payout.ErrHalted, payout.ErrHeld, payout.ErrStale, payout.ErrNoSigner, payout.ErrIncomplete):
		return Person
	case is(payout.ErrShort, payout.ErrFeeRate, payout.ErrLimit, payout.ErrNotTaken, payout.ErrImmature, payout.ErrOpen):
		return Later
	}
	return Failed
}

// Handle does what a request asks for.
func Handle(ctx context.Context, p *payout.Payouts, params *pool.Params, r Request) (*Answer, error) {
	d := &desk{ctx, p, params, r}
	act, ok := map[string]func() (*Answer, error){
		"draft": d.draft, "run": d.run, "approve": d.approve, "sign": d.sign, "import": d.take, "broadcast": d.broadcast,
		"bump": d.bump, "cancel": d.cancel, "hold": d.hold, "release": d.release, "halt": d.halt, "resume": d.resume,
		"order": d.order, "ordertext": d.orderText, "privacy": d.privacy, "privacytext": d.privacyText, "case": d.open, "approvecase": d.approveCase,
		"coin": d.coin, "approvecoin": d.approveCoin, "suspense": d.suspense, "direct": d.direct,
		"status": d.status, "list": d.list, "show": d.show, "payee": d.payee, "reconcile": d.reconcile,
	}[r.Command]
	if !ok {
		return nil, fmt.Errorf("no command %.40q", r.Command)
	}
	return act()
}

type desk struct {
	ctx    context.Context
	p      *payout.Payouts
	params *pool.Params
	r      Request
}

// written makes an answer.
func written(result any, write func(io.Writer) error) (*Answer, error) {
	var b strings.Builder
	if err := write(&b); err != nil {
		return nil, err
	}
	return &Answer{Result: result, Text: b.String()}, nil
}

// runText answers with a run as it stands after a command; an error of the command goes with it.
func (d *desk) runText(batch *payout.BatchDoc, err error) (*Answer, error) {
	if err != nil || batch == nil {
		return nil, err
	}
	return d.showing(batch.ID)
}

func (d *desk) showing(id string) (*Answer, error) {
	docs, at, err := d.p.Show(id)
	if err != nil {
		return nil, err
	}
	for i := range docs { // what was not exported is signed nowhere else
		if !docs[i].Exported && len(docs[i].PSBT) > 0 {
			c := *docs[i]
			c.PSBT = nil
			docs[i] = &c
		}
	}
	return written(docs, func(w io.Writer) error { return payout.WriteRun(w, docs, at, d.params) })
}

func (d *desk) plan() (*Answer, error) {
	docs, diff, err := d.p.Plan(d.ctx)
	if err != nil {
		return nil, err
	}
	result := struct {
		Run  []*payout.BatchDoc `json:"run"`
		Diff *payout.Diff       `json:"diff"`
	}{docs, diff}
	return written(result, func(w io.Writer) error { return payout.WritePlan(w, docs, diff, d.params) })
}

func (d *desk) draft() (*Answer, error) {
	if !d.r.Yes {
		return d.plan()
	}
	return d.runText(d.p.Draft(d.ctx, d.r.By))
}

func (d *desk) run() (*Answer, error) {
	if d.r.Yes {
		return d.runText(d.p.Run(d.ctx, d.r.By))
	}
	a, err := d.plan()
	if errors.Is(err, payout.ErrOpen) {
		return d.status()
	}
	return a, err
}

func (d *desk) approve() (*Answer, error) {
	return d.runText(d.p.Approve(d.ctx, d.r.ID, d.r.By, d.r.Signature))
}

func (d *desk) sign() (*Answer, error) {
	if _, err := d.p.Build(d.ctx, d.r.ID); err != nil {
		return nil, err
	}
	if !d.r.Export {
		return d.runText(d.p.Sign(d.ctx, d.r.ID))
	}
	packets, batch, err := d.p.Export(d.ctx, d.r.ID)
	if err != nil {
		return nil, err
	}
	return written(packets, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "payout %s: %d transactions to be signed; it can only be cancelled on the chain from now on\n", batch.ID, len(packets))
		return err
	})
}

func (d *desk) take() (*Answer, error) { return d.runText(d.p.Import(d.ctx, d.r.ID, d.r.Packet)) }

func (d *desk) broadcast() (*Answer, error) { return d.runText(d.p.Broadcast(d.ctx, d.r.ID)) }

func (d *desk) bump() (*Answer, error) {
	return d.runText(d.p.Bump(d.ctx, d.r.ID, d.r.By, pool.Amount(d.r.Rate)))
}

func (d *desk) cancel() (*Answer, error) {
	return d.runText(d.p.Cancel(d.ctx, d.r.ID, d.r.By, d.r.Reason))
}

func (d *desk) payeeText(doc *payout.PayeeDoc, err error) (*Answer, error) {
	if err != nil {
		return nil, err
	}
	return written(doc, func(w io.Writer) error { return payout.WritePayee(w, doc, d.params) })
}

func (d *desk) payee() (*Answer, error) { return d.payeeText(d.p.Payee(d.r.Account)) }

func (d *desk) hold() (*Answer, error) {
	doc, err := d.p.Payee(d.r.Account)
	if err != nil {
		return nil, err
	}
	return d.payeeText(d.p.Hold(doc.Account, d.r.By, d.r.Reason))
}

func (d *desk) release() (*Answer, error) {
	doc, err := d.p.Payee(d.r.Account)
	if err != nil {
		return nil, err
	}
	return d.payeeText(d.p.Release(doc.Account, d.r.By, d.r.Reason, d.r.Signature))
}

func (d *desk) order() (*Answer, error) {
	return d.payeeText(d.p.Order(d.r.Text, string(d.r.Signature)))
}

func (d *desk) orderText() (*Answer, error) {
	terms := payout.Terms{Threshold: pool.Amount(d.r.Threshold), Period: payout.Period(d.r.Period), Paused: d.r.Paused}
	text, err := d.p.OrderText(d.r.Account, d.r.Address, terms)
	if err != nil {
		return nil, err
	}
	return &Answer{Result: text, Text: text + "\n"}, nil
}

func (d *desk) privacyText() (*Answer, error) {
	text, key, err := d.p.PrivacyText(d.r.Account, ledger.Shown(d.r.Show))
	if err != nil {
		return nil, err
	}
	answer := &Answer{Result: struct {
		Text string `json:"text"`
		Key  string `json:"key"`
	}{text, key}, Text: text + "\n"}
	if key != "" {
		answer.Text += "\nkey, not to be signed: " + key + "\n"
	}
	return answer, nil
}

func (d *desk) privacy() (*Answer, error) {
	doc, err := d.p.Privacy(d.r.Text, string(d.r.Signature))
	if err != nil {
		return nil, err
	}
	return &Answer{Result: doc, Text: fmt.Sprintf("account %s shows %s\n", doc.Account, doc.Show)}, nil
}

func (d *desk) open() (*Answer, error) {
	doc, err := d.p.Payee(d.r.Account)
	if err != nil {
		return nil, err
	}
	return d.payeeText(d.p.Case(doc.Account, d.r.Address, d.r.By, d.r.Reason))
}

func (d *desk) approveCase() (*Answer, error) {
	doc, err := d.p.Payee(d.r.Account)
	if err != nil {
		return nil, err
	}
	return d.payeeText(d.p.ApproveCase(doc.Account, d.r.By, d.r.Signature))
}

func (d *desk) coinText(doc *payout.CoinDoc, err error) (*Answer, error) {
	if err != nil {
		return nil, err
	}
	return written(doc, func(w io.Writer) error { return payout.WriteCoin(w, doc, d.params) })
}

func (d *desk) coin() (*Answer, error) {
	coin, err := payout.ParseCoin(d.r.Coin)
	if err != nil {
		return nil, err
	}
	var to *pool.AccountID
	if d.r.Account != "" {
		doc, err := d.p.Payee(d.r.Account)
		if err != nil {
			return nil, err
		}
		to = &doc.Account
	}
	return d.coinText(d.p.CoinCase(d.ctx, d.r.Case, coin, to, d.r.By, d.r.Reason))
}

func (d *desk) approveCoin() (*Answer, error) {
	coin, err := payout.ParseCoin(d.r.Coin)
	if err != nil {
		return nil, err
	}
	return d.coinText(d.p.ApproveCoin(d.ctx, coin, d.r.By, d.r.Signature))
}

func (d *desk) direct() (*Answer, error) {
	status, err := d.p.Direct(d.ctx)
	if err != nil {
		return nil, err
	}
	return written(status, func(w io.Writer) error { return payout.WriteDirect(w, status, d.params) })
}

func (d *desk) suspense() (*Answer, error) {
	receipts, coins, err := d.p.Suspense()
	if err != nil {
		return nil, err
	}
	result := struct {
		Receipts []payout.ReceiptDoc `json:"receipts"`
		Coins    []payout.CoinDoc    `json:"coins"`
	}{receipts, coins}
	return written(result, func(w io.Writer) error { return payout.WriteSuspense(w, receipts, coins, d.params) })
}

func (d *desk) halt() (*Answer, error)   { return d.switched(true) }
func (d *desk) resume() (*Answer, error) { return d.switched(false) }

func (d *desk) switched(on bool) (*Answer, error) {
	if _, err := d.p.Halt(on, d.r.By, d.r.Reason); err != nil {
		return nil, err
	}
	return d.status()
}

func (d *desk) status() (*Answer, error) {
	s, err := d.p.Status()
	if err != nil {
		return nil, err
	}
	for i, b := range s.Open {
		c := *b
		c.PSBT = nil
		s.Open[i] = &c
	}
	return written(s, func(w io.Writer) error { return payout.WriteStatus(w, s, d.params) })
}

func (d *desk) list() (*Answer, error) {
	docs, err := d.p.List()
	if err != nil {
		return nil, err
	}
	return written(docs, func(w io.Writer) error { return payout.WriteList(w, docs, d.params) })
}

func (d *desk) show() (*Answer, error) { return d.showing(d.r.ID) }

func (d *desk) reconcile() (*Answer, error) {
	r, err := d.p.Reconcile(d.ctx, d.r.Full)
	if err != nil {
		return nil, err
	}
	a, err := written(r, func(w io.Writer) error { return payout.WriteReconciliation(w, r, d.params) })
	if err == nil && !r.OK() {
		err = payout.ErrMismatch
	}
	return a, err
}
