package payout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil/psbt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// PolicyNone is the approval policy that asks no person; such approvals are by SystemAccount.
const (
	PolicyNone    = "none"
	SystemAccount = "system"
)

// Run takes one payout as far as it goes now: it resumes an open one, else it drafts one, and leads it
// through every state up to broadcast, or to confirmed when the node says so. It may be called at any
// time, again and again, and after any crash.
//
// The error is [ErrNothing] when no payout is open and none is due, and [ErrNoSigner] when none is open and
// there is no signer. With another error the batch, when
// there is one, is returned as it stands.
func (p *Payouts) Run(ctx context.Context) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	d := p.fold.open()
	if d != nil && d.State == StateDraft { // never frozen: what is owed may have changed
		frozen, err := p.freeze(d)
		if err != nil {
			return d, err
		}
		if d = frozen; d.dead() {
			d = nil
		}
	}
	if d == nil {
		if p.signer == nil {
			return nil, ErrNoSigner
		}
		drafted, err := p.draft(ctx)
		if err != nil {
			return nil, err
		}
		if d, err = p.freeze(drafted); err != nil {
			return drafted, err
		}
		if d.dead() {
			return d, fmt.Errorf("payout %s was %s: %s", d.ID, d.State, d.Reason)
		}
	}
	steps := map[State]func(context.Context, *BatchDoc) (*BatchDoc, error){
		StateFrozen:   func(_ context.Context, d *BatchDoc) (*BatchDoc, error) { return p.approve(d, SystemAccount) },
		StateApproved: p.build,
		StateBuilt:    p.sign,
		StateSigned:   p.broadcast,
	}
	for {
		step, ok := steps[d.State]
		if !ok {
			return p.check(ctx, d)
		}
		next, err := step(ctx, d)
		if err != nil {
			return cmp.Or(next, d), err
		}
		d = next
	}
}

// Plan says what Draft and Build would decide now, and posts nothing. The document has no id and no state.
func (p *Payouts) Plan(ctx context.Context) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if d := p.fold.open(); d != nil { // its baton and change are what the next one would spend
		return nil, fmt.Errorf("%w: %s is %s", ErrOpen, d.ID, d.State)
	}
	d, err := p.choose()
	if err != nil {
		return nil, err
	}
	d.ID = ""
	_, _, err = p.plan(ctx, d)
	return d, err
}

// Draft chooses payees and amounts. It is refused while another batch is open.
func (p *Payouts) Draft(ctx context.Context) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	if d := p.fold.open(); d != nil {
		if d.State == StateDraft {
			return d, nil
		}
		return d, fmt.Errorf("%w: %s is %s", ErrOpen, d.ID, d.State)
	}
	return p.draft(ctx)
}

func (p *Payouts) draft(ctx context.Context) (*BatchDoc, error) {
	d, err := p.choose()
	if err != nil {
		return nil, err
	}
	if err := p.reconciled(ctx); err != nil {
		return nil, err
	}
	trial := d.clone()
	if _, _, err := p.plan(ctx, trial); err != nil { // refused now rather than with the amounts frozen
		return nil, err
	}
	return p.post(d, StateDraft, "", nil)
}

// choose lists what is owed and due. Largest amounts come first; what does not fit into one transaction
// waits for the next run.
func (p *Payouts) choose() (*BatchDoc, error) {
	balances, err := p.balances()
	if err != nil {
		return nil, err
	}
	d := &BatchDoc{V: docVersion, Pool: p.pool, Seq: p.fold.seq, Threshold: p.threshold}
	for account, amount := range balances {
		id, side, ok := account.Miner()
		if !ok || side != ledger.Available || amount < p.threshold {
			continue
		}
		q := Payee{Account: id, Amount: amount}
		doc := p.fold.accounts[id]
		switch {
		case doc == nil || pool.AccountOf(p.pool, doc.Script) != id:
			q.Reason = "the ledger does not say which script this account is paid to"
		case amount < dust(doc.Script, p.dustRate):
			q.Script, q.Reason = hexBytes(doc.Script), "nodes relay no output this small"
		default:
			q.Script = hexBytes(doc.Script)
		}
		if q.Script != nil {
			q.Address = p.address(q.Script)
		}
		if q.Reason != "" {
			d.Held = append(d.Held, q)
			continue
		}
		d.Payees = append(d.Payees, q)
	}
	slices.SortFunc(d.Payees, func(a, b Payee) int {
		return cmp.Or(-cmp.Compare(a.Amount, b.Amount), bytes.Compare(a.Script, b.Script), bytes.Compare(a.Account[:], b.Account[:]))
	})
	var weight int64
	fit := len(d.Payees)
	for i, q := range d.Payees {
		if weight += outputSize(q.Script) * witnessScale; weight > maxPayeeWeight {
			fit = i
			break
		}
	}
	d.Payees, d.Left = d.Payees[:fit], len(d.Payees)-fit
	if len(d.Payees) == 0 {
		return nil, ErrNothing
	}
	for _, q := range d.Payees {
		if d.Total, err = d.Total.Add(q.Amount); err != nil {
			return nil, err
		}
	}
	d.ID = BatchID(p.pool, d.Seq, d.Payees)
	return d, nil
}

// Freeze moves the amounts of a draft from available to in payout. When the balances are not there any
// more the batch is cancelled instead.
func (p *Payouts) Freeze(ctx context.Context, id string) (*BatchDoc, error) {
	return p.step(ctx, id, StateDraft, func(_ context.Context, d *BatchDoc) (*BatchDoc, error) { return p.freeze(d) })
}

func (p *Payouts) freeze(d *BatchDoc) (*BatchDoc, error) {
	frozen, err := p.post(d.clone(), StateFrozen, "", move(d, ledger.Available, ledger.InPayout))
	if !errors.Is(err, ledger.ErrOverdraft) {
		return frozen, err
	}
	c := d.clone()
	c.Reason = "a balance was smaller by the time it was to be frozen"
	return p.post(c, StateCancelled, "", nil)
}

// move books every payee's amount from one side of its account to another.
func move(d *BatchDoc, from, to ledger.Side) []ledger.Posting {
	postings := make([]ledger.Posting, 0, len(d.Payees))
	for _, q := range d.Payees {
		postings = append(postings, ledger.Posting{Debit: ledger.Miner(q.Account, from), Credit: ledger.Miner(q.Account, to), Amount: q.Amount})
	}
	return postings
}

// Approve allows a frozen batch in the name of by.
func (p *Payouts) Approve(ctx context.Context, id, by string) (*BatchDoc, error) {
	return p.step(ctx, id, StateFrozen, func(_ context.Context, d *BatchDoc) (*BatchDoc, error) { return p.approve(d, by) })
}

func (p *Payouts) approve(d *BatchDoc, by string) (*BatchDoc, error) {
	c := d.clone()
	c.Approvals = append(c.Approvals, Approval{By: by, Policy: PolicyNone, Time: p.now().UnixMilli()})
	return p.post(c, StateApproved, "by "+by, nil)
}

// Build chooses and locks the inputs of an approved batch and fixes the transaction and its id.
func (p *Payouts) Build(ctx context.Context, id string) (*BatchDoc, error) {
	return p.step(ctx, id, StateApproved, p.build)
}

func (p *Payouts) build(ctx context.Context, d *BatchDoc) (*BatchDoc, error) {
	c := d.clone()
	chosen, tx, err := p.plan(ctx, c)
	if err != nil {
		return nil, err
	}
	pkt, err := p.packet(ctx, tx, chosen)
	if err != nil {
		return nil, err
	}
	if c.PSBT, err = packetBytes(pkt); err != nil {
		return nil, err
	}
	txid := pool.Hash(tx.TxHash())
	c.TxID = &txid
	return p.post(c, StateBuilt, "", nil)
}

// Sign has a built batch signed and stores the signed bytes. Nothing is sent.
func (p *Payouts) Sign(ctx context.Context, id string) (*BatchDoc, error) {
	return p.step(ctx, id, StateBuilt, p.sign)
}

func (p *Payouts) sign(ctx context.Context, d *BatchDoc) (*BatchDoc, error) {
	if p.signer == nil {
		return nil, ErrNoSigner
	}
	unsigned, err := psbt.NewFromRawBytes(bytes.NewReader(d.PSBT), false)
	if err != nil {
		return nil, fmt.Errorf("read psbt of payout %s: %w", d.ID, err)
	}
	signed, err := p.signer.Sign(ctx, unsigned)
	if err != nil {
		return nil, fmt.Errorf("sign payout %s: %w", d.ID, err)
	}
	raw, err := finalise(d, p.script, signed)
	if err != nil {
		return nil, fmt.Errorf("sign payout %s: %w", d.ID, err)
	}
	c := d.clone()
	c.Raw, c.PSBT = raw, nil
	return p.post(c, StateSigned, "", nil)
}

// Broadcast sends a signed batch. Sent again it sends the same bytes.
func (p *Payouts) Broadcast(ctx context.Context, id string) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	d, err := p.fold.find(id)
	if err != nil {
		return nil, err
	}
	if d.State == StateSigned {
		next, err := p.broadcast(ctx, d)
		if err != nil {
			return d, err
		}
		d = next
	}
	if d.State != StateBroadcast && !d.booked() {
		return d, fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, d.State, StateSigned)
	}
	return p.check(ctx, d)
}

// broadcast books that the batch is sent. The sending is check's, which does it whenever the node does
// not have the transaction.
func (p *Payouts) broadcast(ctx context.Context, d *BatchDoc) (*BatchDoc, error) {
	if err := p.reconciled(ctx); err != nil {
		return nil, err
	}
	return p.post(d.clone(), StateBroadcast, "", nil)
}

// Cancel gives up a batch that was never signed; its amounts are available again.
func (p *Payouts) Cancel(_ context.Context, id, reason string) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	d, err := p.fold.find(id)
	if err != nil {
		return nil, err
	}
	var back []ledger.Posting
	switch d.State {
	case StateCancelled:
		return d, nil
	case StateDraft:
	case StateFrozen, StateApproved, StateBuilt:
		back = move(d, ledger.InPayout, ledger.Available)
	default:
		return d, fmt.Errorf("%w: %s is %s, and what was signed cannot be taken back", ErrState, d.ID, d.State)
	}
	c := d.clone()
	c.Reason, c.PSBT = reason, nil
	return p.post(c, StateCancelled, "", back)
}

// step runs one command on a batch that must be in state from. A batch that is further on is returned as
// it is, so that a command can be repeated.
func (p *Payouts) step(ctx context.Context, id string, from State, act func(context.Context, *BatchDoc) (*BatchDoc, error)) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	d, err := p.fold.find(id)
	if err != nil {
		return nil, err
	}
	order := []State{StateDraft, StateFrozen, StateApproved, StateBuilt, StateSigned, StateBroadcast, StateConfirmed, StateFinal}
	at, want := slices.Index(order, d.State), slices.Index(order, from)
	switch {
	case at == want:
		next, err := act(ctx, d)
		return cmp.Or(next, d), err
	case at > want:
		return d, nil
	}
	return d, fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, d.State, from)
}
