package payout

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/claim"
	"github.com/adit-pool/adit/pool"
)

// order is what an account's owner wants, as the signed text says:
//
//	adit payout order 1
//	pool: POOL
//	account: ACCOUNT ID
//	counter: one more than that of the last order that was taken
//	pay to: ADDRESS                     or
//	threshold: BASE UNITS               and the two lines that follow
//	period: always, daily, weekly or monthly
//	paused: yes or no
type order struct {
	account pool.AccountID
	counter uint64
	payTo   string
	terms   *Terms
}

// OrderText is the text that an account's owner signs to be paid to another address, when address is not "", else
// to be paid on other terms.
func (p *Payouts) OrderText(name, address string, terms Terms) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return "", err
	}
	id, err := p.account(name)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("adit payout order 1\npool: %s\naccount: %s\ncounter: %d\n", p.pool, id, p.fold.payee(id).Counter+1)
	if address != "" {
		text += "pay to: " + address
	} else {
		period, paused := "always", "no"
		if terms.Period != Always {
			period = string(terms.Period)
		}
		if terms.Paused {
			paused = "yes"
		}
		text += fmt.Sprintf("threshold: %d\nperiod: %s\npaused: %s", terms.Threshold, period, paused)
	}
	_, err = parseOrder(text, p.pool)
	return text, err
}

// parseOrder reads an order strictly.
func parseOrder(text, poolID string) (order, error) {
	s, err := parseSigned(text, "adit payout order 1", poolID, []string{"pay to"}, []string{"threshold", "period", "paused"})
	if err != nil {
		return order{}, err
	}
	o := order{account: s.account, counter: s.counter}
	if to, ok := s.values["pay to"]; ok {
		o.payTo = to
		return o, nil
	}
	o.terms = new(Terms)
	threshold, err := strconv.ParseInt(s.values["threshold"], 10, 64)
	if err != nil || threshold < 0 {
		return order{}, badOrder("threshold %.40q", s.values["threshold"])
	}
	o.terms.Threshold = pool.Amount(threshold)
	if s.values["period"] != "always" {
		o.terms.Period = Period(s.values["period"])
	}
	if _, ok := o.terms.Period.length(); !ok {
		return order{}, badOrder("period %.40q", s.values["period"])
	}
	switch s.values["paused"] {
	case "yes":
		o.terms.Paused = true
	case "no":
	default:
		return order{}, badOrder("paused %.40q", s.values["paused"])
	}
	return o, nil
}

// magic opens what this coin's signmessage hashes.
func (p *Payouts) magic() string {
	if p.chain.Params().Coin == "litecoin" {
		return "Litecoin Signed Message:\n"
	}
	return "Bitcoin Signed Message:\n"
}

// Order takes an order that the account's destination of now has signed. A new destination begins after the hold
// period, other terms at once.
func (p *Payouts) Order(text, signature string) (*PayeeDoc, error) {
	o, err := parseOrder(text, p.pool)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if p.fold.accounts[o.account] == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, o.account)
	}
	now := p.now().UnixMilli()
	doc := p.fold.payee(o.account)
	if o.counter != doc.Counter+1 {
		return &doc, fmt.Errorf("%w: its counter is %d, the next one is %d", ErrOrder, o.counter, doc.Counter+1)
	}
	script := p.fold.destination(p.pool, o.account, now)
	if err := claim.Verify(script, p.magic(), text, signature); err != nil {
		return &doc, fmt.Errorf("%w: %s: %w", ErrOrder, p.address(script), err)
	}
	doc.Counter = o.counter
	if o.terms != nil {
		doc.Terms = *o.terms
		doc.Terms.By, doc.Terms.Time = OrderSignature, now
		return &doc, p.postSetting(SetPayees, o.account.String(), "payee.terms", 0, doc)
	}
	to := Destination{How: OrderSignature, Text: text, Signature: signature}
	return p.redirect(doc, o.payTo, to, now)
}

// redirect adds a destination; those that have not begun are withdrawn by it.
func (p *Payouts) redirect(doc PayeeDoc, address string, to Destination, now int64) (*PayeeDoc, error) {
	script, err := p.chain.Script(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %.100q: %w", ErrOrder, address, err)
	}
	to.Script, to.Address = build.Hex(script), address
	to.Asked, to.From = now, now+p.orderHold.Milliseconds()
	doc.Destinations = slices.Clone(doc.Destinations)
	for i := range doc.Destinations {
		if !doc.Destinations[i].begun(now) {
			doc.Destinations[i].Withdrawn = true
		}
	}
	doc.Destinations = append(doc.Destinations, to)
	p.log.Warn().Str("pool", p.pool).Stringer("account", doc.Account).Str("to", address).Str("how", to.How).
		Int64("from", to.From).Msg("an account is to be paid elsewhere")
	return &doc, p.postSetting(SetPayees, doc.Account.String(), "payee.destination", 0, doc)
}

// caseNeeds is how many people must approve a change of destination that the owner did not sign.
const caseNeeds = 2

// Case opens a change of destination for an owner who cannot sign: it begins when two people other than its author
// have approved it and the hold period is over.
func (p *Payouts) Case(account pool.AccountID, address, author, evidence string) (*PayeeDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if err := said(author, evidence); err != nil {
		return nil, err
	}
	if p.fold.accounts[account] == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoAccount, account)
	}
	to := Destination{How: OrderCase, Author: author, Evidence: evidence, Needs: caseNeeds}
	return p.redirect(p.fold.payee(account), address, to, p.now().UnixMilli())
}

// CaseThing is what people sign to approve a case.
func CaseThing(account pool.AccountID, d *Destination) string {
	return fmt.Sprintf("pay %s to %s, asked at %d: %s", account, d.Address, d.Asked, d.Evidence)
}

// ApproveCase takes one person's approval of the account's newest case. The hold period begins anew with the last
// one.
func (p *Payouts) ApproveCase(account pool.AccountID, by string, signature []byte) (*PayeeDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	doc := p.fold.payee(account)
	doc.Destinations = slices.Clone(doc.Destinations)
	last := len(doc.Destinations) - 1
	if last < 0 || doc.Destinations[last].How != OrderCase || len(doc.Destinations[last].Approvals) >= caseNeeds {
		return &doc, fmt.Errorf("%w: %s has no case that waits for approval", ErrState, account)
	}
	to := &doc.Destinations[last]
	a, err := p.approvalBy(CaseThing(account, to), to.Author, to.Approvals, by, signature)
	if err != nil {
		return &doc, err
	}
	to.Approvals = append(slices.Clone(to.Approvals), a)
	if len(to.Approvals) >= to.Needs {
		to.From = p.now().Add(p.orderHold).UnixMilli()
	}
	return &doc, p.postSetting(SetPayees, account.String(), "payee.destination", 0, doc)
}
