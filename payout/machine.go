package payout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool/ledger"
)

// SystemAccount is the author of payouts that are made on a schedule.
const SystemAccount = "system"

// Run takes payouts as far as they go now: it resumes what is open, else it drafts a run in the name of author,
// and leads it through every state up to broadcast, or to confirmed when the node says so. It may be called at
// any time, again and again, and after any crash.
//
// The error is [ErrNothing] when no payout is open and none is due, and [ErrNoSigner] when none is open and
// there is no signer. With another error the batch, when there is one, is returned as it stands; of a run of
// several the first.
func (p *Payouts) Run(ctx context.Context, author string) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	helped, err := p.helpers(ctx)
	if err != nil {
		return helped, err
	}
	d, err := p.openRun()
	if err != nil {
		return d, err
	}
	if d == nil && p.signer == nil {
		return nil, ErrNoSigner
	}
	if d == nil || d.State == StateDraft || !complete(p.fold.runOf(d)) {
		if d, err = p.draftOrGoOn(ctx, author); err != nil {
			return d, err
		}
		if d.dead() {
			return d, fmt.Errorf("payout %s was %s: %s", d.ID, d.State, d.Reason)
		}
	}
	return p.advance(ctx, d)
}

// openRun is the first batch of the open run, nil when there is none. A run of which one batch was given up before
// any was signed or exported is given up as a whole first: the program ended while it was cancelled.
func (p *Payouts) openRun() (*BatchDoc, error) {
	d := p.fold.open()
	if d == nil {
		return nil, nil
	}
	docs := p.fold.runOf(d)
	if !slices.ContainsFunc(docs, (*BatchDoc).dead) || slices.ContainsFunc(docs, (*BatchDoc).loose) {
		return d, nil
	}
	for _, d := range docs {
		if _, err := p.undo(d, "with the rest of its run"); err != nil {
			return d, err
		}
	}
	return p.fold.open(), nil
}

// helpers leads open cancels and children on.
func (p *Payouts) helpers(ctx context.Context) (*BatchDoc, error) {
	for _, d := range slices.Clone(p.fold.batches) {
		if d.pays() || !d.open() {
			continue
		}
		if next, err := p.advance(ctx, d); err != nil {
			return next, err
		}
	}
	return nil, nil
}

// advance leads the run of a batch on, each state for all of the run before the next, as far as it goes. What
// is sent is checked.
func (p *Payouts) advance(ctx context.Context, d *BatchDoc) (*BatchDoc, error) {
	steps := []struct {
		from State
		act  func(context.Context, []*BatchDoc) error
	}{
		{StateDraft, func(_ context.Context, docs []*BatchDoc) error { _, err := p.freezeRun(docs); return err }},
		{StateFrozen, p.approveSystem},
		{StateApproved, p.build},
		{StateBuilt, p.sign},
		{StateSigned, p.broadcast},
	}
	id := d.ID
	for _, step := range steps {
		docs := p.fold.runOf(p.fold.byID[id])
		if !slices.ContainsFunc(docs, func(d *BatchDoc) bool { return d.State == step.from }) {
			continue
		}
		if err := step.act(ctx, docs); err != nil {
			return p.fold.byID[id], err
		}
	}
	var errs []error
	for _, d := range p.fold.runOf(p.fold.byID[id]) {
		if _, err := p.check(ctx, d); err != nil {
			errs = append(errs, err)
		}
	}
	return p.fold.byID[id], errors.Join(errs...)
}

// Freeze moves the amounts of a drafted run from available to in payout. When the balances are not there any
// more the run is cancelled instead.
func (p *Payouts) Freeze(ctx context.Context, id string) (*BatchDoc, error) {
	return p.step(ctx, id, StateDraft, func(_ context.Context, docs []*BatchDoc) error { _, err := p.freezeRun(docs); return err })
}

// Build chooses and locks the inputs of an approved run and fixes its transactions and their ids.
func (p *Payouts) Build(ctx context.Context, id string) (*BatchDoc, error) {
	return p.step(ctx, id, StateApproved, p.build)
}

func (p *Payouts) build(ctx context.Context, docs []*BatchDoc) error {
	if err := p.guard(docs); err != nil {
		return err
	}
	first := docs[0]
	if first.State == StateApproved {
		clones := make([]*BatchDoc, len(docs))
		for i, d := range docs {
			clones[i] = d.clone()
		}
		if _, err := p.planRun(ctx, clones); err != nil { // of the parts too, so that no fan is made in vain
			return err
		}
		if err := p.packet(ctx, clones[0]); err != nil {
			return err
		}
		var err error
		if docs[0], err = p.post(clones[0], StateBuilt, "", nil); err != nil {
			return err
		}
	}
	var parts []*BatchDoc
	for _, d := range docs[1:] {
		if d.State != StateApproved {
			continue
		}
		c := d.clone()
		if _, err := p.planPart(docs[0], c, docs[0].FeeRate); err != nil {
			return err
		}
		if err := p.packet(ctx, c); err != nil {
			return err
		}
		parts = append(parts, c)
	}
	return p.postAll(parts, StateBuilt, "", func(*BatchDoc) []ledger.Posting { return nil })
}

// Sign has a built run signed and stores the signed bytes. Nothing is sent.
func (p *Payouts) Sign(ctx context.Context, id string) (*BatchDoc, error) {
	return p.step(ctx, id, StateBuilt, p.sign)
}

func (p *Payouts) sign(ctx context.Context, docs []*BatchDoc) error {
	if p.signer == nil {
		return ErrNoSigner
	}
	if err := p.guard(docs); err != nil {
		return err
	}
	for _, d := range docs {
		if d.State != StateBuilt {
			continue
		}
		asked, err := sign.Parse(d.PSBT)
		if err != nil {
			return fmt.Errorf("payout %s: %w", d.ID, err)
		}
		answer, err := p.signer.Sign(ctx, asked)
		if err != nil {
			return fmt.Errorf("sign payout %s: %w", d.ID, err)
		}
		raw, _, err := p.finish(d, answer)
		if err != nil {
			return fmt.Errorf("sign payout %s: %w", d.ID, err)
		}
		if err := p.signed(d, raw); err != nil {
			return err
		}
	}
	return nil
}

// Broadcast sends a signed run. Sent again it sends the same bytes.
func (p *Payouts) Broadcast(ctx context.Context, id string) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, err := p.find(id)
	if err != nil {
		return nil, err
	}
	docs := p.fold.runOf(d)
	if slices.ContainsFunc(docs, func(d *BatchDoc) bool { return d.State == StateSigned }) {
		if err := p.broadcast(ctx, docs); err != nil {
			return p.fold.byID[d.ID], err
		}
	}
	var errs []error
	for _, d := range p.fold.runOf(d) {
		if d.State != StateBroadcast && d.State != StateSigned && !d.booked() && !d.dead() {
			errs = append(errs, fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, d.State, StateSigned))
			continue
		}
		if _, err := p.check(ctx, d); err != nil {
			errs = append(errs, err)
		}
	}
	return p.fold.byID[d.ID], errors.Join(errs...)
}

// broadcast books that signed batches of a run are sent: the fan alone first, its parts once it is in the chain.
// The sending is check's, which does it whenever the node does not have the transaction.
func (p *Payouts) broadcast(ctx context.Context, docs []*BatchDoc) error {
	if err := p.guard(docs); err != nil {
		return err
	}
	alive := slices.DeleteFunc(slices.Clone(docs), (*BatchDoc).dead)
	for _, d := range alive {
		if d.State == StateBuilt {
			return fmt.Errorf("%w: %s is not signed yet, and a run is sent as a whole", ErrState, d.ID)
		}
	}
	if fan := docs[0]; fan.Kind == KindFan {
		alive = []*BatchDoc{fan}
		if fan.State != StateSigned {
			at, _, err := p.look(ctx, fan)
			if err != nil || at == nil {
				return err // its parts wait
			}
			alive = docs[1:]
		}
	}
	if !slices.ContainsFunc(alive, func(d *BatchDoc) bool { return d.State == StateSigned }) {
		return nil
	}
	if err := p.reconciled(ctx); err != nil {
		return err
	}
	for _, d := range alive {
		if d.State == StateSigned {
			if _, err := p.post(d.clone(), StateBroadcast, "", nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// step runs one command on a run of which a batch must be in state from. A run that is further on is returned as
// it is, so that a command can be repeated.
func (p *Payouts) step(ctx context.Context, id string, from State, act func(context.Context, []*BatchDoc) error) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, err := p.find(id)
	if err != nil {
		return nil, err
	}
	docs := p.fold.runOf(d)
	order := []State{StateDraft, StateFrozen, StateApproved, StateBuilt, StateSigned, StateBroadcast, StateConfirmed, StateFinal}
	want := slices.Index(order, from)
	least := len(order)
	for _, d := range docs {
		if at := slices.Index(order, d.State); at >= 0 {
			least = min(least, at)
		} else {
			return d, fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, d.State, from)
		}
	}
	switch {
	case least == want:
		err := act(ctx, docs)
		return cmp.Or(p.fold.byID[d.ID], d), err
	case least > want:
		return d, nil
	}
	return d, fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, order[least], from)
}
