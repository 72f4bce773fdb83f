package payout

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// WrittenOff is what coins of the pool were worth that are gone for good.
const WrittenOff ledger.Account = "expense:written-off"

// CoinDoc is what people decided about one coin, where the chain and the ledger alone do not say. Every change is
// an entry that replaces it.
type CoinDoc struct {
	V        int            `json:"v"`
	Coin     build.Outpoint `json:"coin"`
	Value    pool.Amount    `json:"value"`
	Standing string         `json:"standing,omitempty"` // CoinLost or CoinTaken; "" as the ledger has it by itself
	Case     *CoinCase      `json:"case,omitempty"`     // that waits for approval
	Step     int            `json:"step"`
}

// The standings of a coin.
const (
	CoinLost  = "written off"
	CoinTaken = "taken in"
)

// CoinCase is a decision about a coin.
type CoinCase struct {
	What      string          `json:"what"` // CaseWriteOff, CaseRestore or CaseTakeIn
	Account   *pool.AccountID `json:"account,omitempty"`
	Author    string          `json:"author"`
	Reason    string          `json:"reason"`
	Time      int64           `json:"time"`
	Needs     int             `json:"needs"`
	Approvals []Approval      `json:"approvals,omitempty"`
}

// The decisions about a coin.
const (
	CaseWriteOff = "write-off" // a coin of the wallet is gone for good: WrittenOff bears it
	CaseRestore  = "restore"   // a coin that was written off is there again
	CaseTakeIn   = "take-in"   // an unknown receipt becomes a coin of the wallet: the operator's, or an account's
)

// CoinThing is what people sign to approve a case.
func CoinThing(d *CoinDoc) string {
	to := "the operator"
	if d.Case.Account != nil {
		to = "account " + d.Case.Account.String()
	}
	return fmt.Sprintf("%s of coin %s worth %d for %s, asked by %s at %d: %s", d.Case.What, d.Coin, d.Value, to, d.Case.Author, d.Case.Time, d.Case.Reason)
}

// ParseCoin reads txid:vout.
func ParseCoin(text string) (build.Outpoint, error) {
	txid, vout, _ := strings.Cut(text, ":")
	hash, err := pool.ParseHash(txid)
	n, err2 := strconv.ParseUint(vout, 10, 32)
	if err != nil || err2 != nil {
		return build.Outpoint{}, fmt.Errorf("%.100q is no coin: give TXID:VOUT", text)
	}
	return build.Outpoint{TxID: hash, Vout: uint32(n)}, nil
}

// CoinCase opens a case about a coin. It is refused unless node and ledger show what it says. account is whose
// available balance a receipt that is taken in belongs to, nil for the operator's equity.
func (p *Payouts) CoinCase(ctx context.Context, what string, coin build.Outpoint, account *pool.AccountID, author, reason string) (*CoinDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if err := said(author, reason); err != nil {
		return nil, err
	}
	doc := p.fold.coinDoc(coin)
	doc.Case = &CoinCase{
		What: what, Account: account, Author: author, Reason: reason, Time: p.now().UnixMilli(), Needs: max(p.policy.needs(), 1),
	}
	if account != nil && (what != CaseTakeIn || p.fold.accounts[*account] == nil) {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, account)
	}
	if err := p.coinCaseHolds(ctx, &doc); err != nil {
		return nil, err
	}
	return &doc, p.postCoin(doc, "coin.case")
}

// ApproveCoin takes one person's approval of the open case of a coin; with the last one it is booked. Under policy
// none, where no keys are on file, it is enough that somebody else than the author says so.
func (p *Payouts) ApproveCoin(ctx context.Context, coin build.Outpoint, by string, signature []byte) (*CoinDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	doc := p.fold.coinDoc(coin)
	if doc.Case == nil {
		return &doc, fmt.Errorf("%w: coin %s has no case that waits for approval", ErrState, coin)
	}
	c := *doc.Case
	c.Needs = max(c.Needs, p.policy.needs())
	a := Approval{By: by, Policy: string(p.policy), Time: p.now().UnixMilli()}
	var err error
	switch {
	case p.policy != PolicyNone:
		a, err = p.approvalBy(CoinThing(&doc), c.Author, c.Approvals, by, signature)
	case strings.TrimSpace(by) == "" || strings.EqualFold(strings.TrimSpace(by), strings.TrimSpace(c.Author)):
		err = fmt.Errorf("%w: %s is the author, somebody else must approve", ErrApproval, c.Author)
	}
	if err == nil {
		err = p.coinCaseHolds(ctx, &doc)
	}
	if err != nil {
		return &doc, err
	}
	c.Approvals = append(slices.Clone(c.Approvals), a)
	doc.Case = &c
	if len(c.Approvals) < c.Needs {
		return &doc, p.postCoin(doc, "coin.case")
	}
	postings := coinPostings(&doc)
	doc.Standing = map[string]string{CaseWriteOff: CoinLost, CaseTakeIn: CoinTaken}[c.What]
	if c.What == CaseRestore && p.fold.receipts[coin] != nil {
		doc.Standing = CoinTaken
	}
	p.log.Warn().Str("pool", p.pool).Stringer("coin", coin).Int64("amount", int64(doc.Value)).Str("by", c.Author).Str("approved", by).
		Str("reason", c.Reason).Msg("coin: " + c.What)
	return &doc, p.postCoin(doc, "coin."+c.What, postings...)
}

// postCoin books a coin's document; a case that is booked stays in it as what was decided last.
func (p *Payouts) postCoin(doc CoinDoc, kind string, postings ...ledger.Posting) error {
	doc.Step++
	return p.postSetting(SetCoins, doc.Coin.String(), kind, 0, doc, postings...)
}

// coinPostings is what a case books.
func coinPostings(d *CoinDoc) []ledger.Posting {
	switch d.Case.What {
	case CaseWriteOff:
		return []ledger.Posting{{Debit: WrittenOff, Credit: ledger.Wallet, Amount: d.Value}}
	case CaseRestore:
		return []ledger.Posting{{Debit: ledger.Wallet, Credit: WrittenOff, Amount: d.Value}}
	}
	to := ledger.OperatorEquity
	if d.Case.Account != nil {
		to = ledger.MinerAvailable(*d.Case.Account)
	}
	return []ledger.Posting{
		{Debit: ledger.Wallet, Credit: Receipts, Amount: d.Value},
		{Debit: ledger.SuspenseUnknown, Credit: to, Amount: d.Value},
	}
}

// coinCaseHolds checks that ledger and node show what a case says, and fills in the coin's value.
func (p *Payouts) coinCaseHolds(ctx context.Context, d *CoinDoc) error {
	out, err := p.node.TxOut(ctx, d.Coin.TxID, d.Coin.Vout, false)
	if err != nil {
		return fmt.Errorf("ask the node for coin %s: %w", d.Coin, err)
	}
	switch d.Case.What {
	case CaseWriteOff:
		held, err := p.fold.coins(true)
		if err != nil {
			return err
		}
		all := held.rest
		if held.baton != nil {
			all = append(all, *held.baton)
		}
		i := slices.IndexFunc(all, func(c build.Coin) bool { return c.Outpoint == d.Coin })
		switch {
		case i < 0:
			return fmt.Errorf("%w: coin %s is none of the wallet's free coins: an open payout holds it, or the ledger does not have it", ErrState, d.Coin)
		case out != nil:
			return fmt.Errorf("%w: coin %s is unspent on the node: it is not lost", ErrState, d.Coin)
		}
		made, err := p.made(ctx, &all[i].Input)
		if err != nil {
			return err
		}
		if !made {
			return fmt.Errorf("%w: the transaction that made coin %s is not in the node's chain now: it may come back", ErrState, d.Coin)
		}
		d.Value = all[i].Value
	case CaseRestore:
		switch {
		case d.Standing != CoinLost:
			return fmt.Errorf("%w: coin %s was not written off", ErrState, d.Coin)
		case out == nil || out.Value != d.Value:
			return fmt.Errorf("%w: coin %s is not unspent on the node", ErrState, d.Coin)
		}
	case CaseTakeIn:
		r := p.fold.receipts[d.Coin]
		switch {
		case r == nil || r.Gone || d.Standing != "":
			return fmt.Errorf("%w: coin %s is no receipt in %s", ErrState, d.Coin, ledger.SuspenseUnknown)
		case out == nil || out.Value != r.Value || !bytes.Equal(out.Script, r.Script):
			return fmt.Errorf("%w: coin %s is not unspent on the node", ErrState, d.Coin)
		case out.Confirmations < p.finalDepth:
			return fmt.Errorf("%w: coin %s has %d confirmations, it is taken in with %d", ErrImmature, d.Coin, out.Confirmations, p.finalDepth)
		}
		d.Value = r.Value
	default:
		return fmt.Errorf("%w: no case %.40q", ErrDecision, d.Case.What)
	}
	return nil
}

// coinDoc is a coin's document, or what it would be. A case that is booked is not open any more.
func (f *fold) coinDoc(coin build.Outpoint) CoinDoc {
	if d := f.decided[coin]; d != nil {
		c := *d
		if c.Case != nil && len(c.Case.Approvals) >= c.Case.Needs {
			c.Case = nil
		}
		return c
	}
	return CoinDoc{V: settingsVersion, Coin: coin}
}

// standing is what people made of a coin.
func (f *fold) standing(coin build.Outpoint) string {
	if d := f.decided[coin]; d != nil {
		return d.Standing
	}
	return ""
}

// auditCoin checks that an entry about a coin posts what its document decides, and only when it is decided.
func (f *fold) auditCoin(e *ledger.Entry, d *CoinDoc) {
	var want []ledger.Posting
	if d.Case != nil && len(d.Case.Approvals) >= d.Case.Needs {
		want = coinPostings(d)
	}
	if !slices.Equal(want, e.Postings) {
		posted, meant := moved(e.Postings), moved(want)
		f.fault(e, posted-meant, "coin %s was decided on with postings of %d, its document says %d", d.Coin, posted, meant)
	}
}

// Suspense lists the receipts that nobody has explained, and the coins that were decided on, in the order of their
// names.
func (p *Payouts) Suspense() (receipts []ReceiptDoc, coins []CoinDoc, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, nil, err
	}
	for _, r := range p.fold.receipts {
		if !r.Gone && p.fold.standing(r.Coin) == "" {
			receipts = append(receipts, *r)
		}
	}
	for _, d := range p.fold.decided {
		coins = append(coins, *d)
	}
	slices.SortFunc(receipts, func(a, b ReceiptDoc) int {
		return cmp.Or(cmp.Compare(a.Height, b.Height), strings.Compare(a.Coin.String(), b.Coin.String()))
	})
	slices.SortFunc(coins, func(a, b CoinDoc) int { return strings.Compare(a.Coin.String(), b.Coin.String()) })
	return receipts, coins, nil
}
