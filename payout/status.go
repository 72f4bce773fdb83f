package payout

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
)

// Status is where a pool's payouts stand.
type Status struct {
	Halt   *HaltDoc        `json:"halt,omitempty"` // when it is on
	Policy Policy          `json:"policy"`
	Open   []*BatchDoc     `json:"open"` // of the run that is open, and open helpers
	Next   string          `json:"next"` // what can be done now, in words
	Held   []PayeeDoc      `json:"held"`
	Baton  *build.Outpoint `json:"baton,omitempty"`
	Coins  int             `json:"coins"` // free, the baton left out
	Free   pool.Amount     `json:"free"`  // their value
	Scan   *ScanDoc        `json:"scan,omitempty"`
}

// Status tells where payouts stand. It asks no node.
func (p *Payouts) Status() (*Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	s := &Status{Policy: p.policy, Scan: p.fold.scan, Open: []*BatchDoc{}, Held: []PayeeDoc{}}
	if h := p.fold.halt; h != nil && h.On {
		s.Halt = h
	}
	for _, d := range p.fold.batches {
		if d.open() {
			s.Open = append(s.Open, d)
		}
	}
	for _, doc := range p.fold.payees {
		if doc.Hold != nil {
			s.Held = append(s.Held, *doc)
		}
	}
	slices.SortFunc(s.Held, func(a, b PayeeDoc) int { return bytes.Compare(a.Account[:], b.Account[:]) })
	free, err := p.fold.coins(true)
	if err != nil {
		return nil, err
	}
	if free.baton != nil {
		s.Baton = &free.baton.Outpoint
	}
	s.Coins = len(free.rest)
	for _, c := range free.rest {
		if s.Free, err = s.Free.Add(c.Value); err != nil {
			return nil, err
		}
	}
	s.Next = p.next(s)
	return s, nil
}

// next says in words what the one open run waits for.
func (p *Payouts) next(s *Status) string {
	if s.Halt != nil {
		return "payouts are halted; adit payout resume lets them go on"
	}
	d := p.fold.open()
	if d == nil {
		return "nothing is open; adit payout run shows what would be paid now"
	}
	switch d.State {
	case StateDraft, StateFrozen:
		if need := p.policy.needs(); need > 0 {
			return fmt.Sprintf("waits for approvals: %d of %d; adit payout approve %.12s", len(d.Approvals), need, d.run())
		}
	case StateApproved, StateBuilt:
		if p.signer == nil {
			return fmt.Sprintf("waits for signatures; adit payout sign %.12s --export FILE, then adit payout import %.12s FILE", d.run(), d.run())
		}
	case StateBroadcast:
		return "sent; it is confirmed by itself"
	case StateConflicted:
		return "in conflict, a person must look: " + d.Reason
	}
	return "adit payout run --yes goes on with it"
}

// Payee finds an account by its id, or by an address that it is or was paid to, and returns its document.
func (p *Payouts) Payee(name string) (*PayeeDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	id, err := p.account(name)
	if err != nil {
		return nil, err
	}
	doc := p.fold.payee(id)
	return &doc, nil
}

func (p *Payouts) account(name string) (pool.AccountID, error) {
	for id := range p.fold.accounts {
		if id.String() == name {
			return id, nil
		}
	}
	script, err := p.chain.Script(name)
	if err != nil {
		return pool.AccountID{}, fmt.Errorf("%w: %.100q is no account id and no address: %w", ErrNoAccount, name, err)
	}
	id := pool.AccountOf(p.pool, script)
	if p.fold.accounts[id] == nil {
		return id, fmt.Errorf("%w: %.100q was never credited", ErrNoAccount, name)
	}
	return id, nil
}

// VerifyRun works the ids of a run out anew from its payees, as whoever approves it should, and returns the id
// that is to be signed.
func VerifyRun(docs []*BatchDoc) (string, error) {
	var ids []string
	for _, d := range docs {
		if d.Kind == KindFan {
			continue
		}
		if got := BatchID(d.Pool, d.Seq, d.Payees); got != d.ID {
			return "", fmt.Errorf("%w: batch %s pays what has the id %s", ErrMismatch, d.ID, got)
		}
		ids = append(ids, d.ID)
	}
	if len(ids) == 0 {
		return "", fmt.Errorf("%w: the run pays nobody", ErrMismatch)
	}
	run := RunID(docs[0].Pool, ids)
	if run != docs[0].run() {
		return "", fmt.Errorf("%w: run %s has the id %s", ErrMismatch, docs[0].run(), run)
	}
	return run, nil
}
