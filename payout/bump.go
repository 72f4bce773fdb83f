package payout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Bump raises the fee of a batch that is sent and not in the chain. The replacement has every input and every
// payee output of the batch, and less change. When another transaction spends an output of the batch already,
// a child that pays for both is made instead. rate is in base units per 1000 virtual bytes, 0 for the node's
// estimate. Where the signer is not here the result is built, and signed and sent like any other.
func (p *Payouts) Bump(ctx context.Context, id, author string, rate pool.Amount) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, err := p.find(id)
	if err != nil {
		return nil, err
	}
	if err := p.halted(); err != nil {
		return d, err
	}
	if d.State != StateBroadcast {
		return d, fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, d.State, StateBroadcast)
	}
	at, spent, err := p.look(ctx, d)
	switch {
	case err != nil:
		return d, err
	case at != nil:
		return d, fmt.Errorf("%w: %s is in the chain at height %d", ErrState, d.ID, at.height)
	case spent != nil:
		return p.check(ctx, d)
	}
	if rate == 0 {
		if rate, err = p.feeRate(ctx); err != nil {
			return d, err
		}
	}
	if rate > p.feeCeiling {
		return d, fmt.Errorf("%w: %d per kvB, ceiling %d", ErrFeeRate, rate, p.feeCeiling)
	}
	if rate <= d.FeeRate {
		return d, fmt.Errorf("%w: %s pays %d per kvB already, give a higher rate than that", ErrFeeRate, d.ID, d.FeeRate)
	}
	used, err := p.outputsUsed(ctx, d)
	if err != nil {
		return d, err
	}
	next := d
	if used {
		next, err = p.child(ctx, d, author, rate)
	} else {
		next, err = p.replace(ctx, d, rate)
	}
	if err != nil {
		return d, err
	}
	return p.leadOn(ctx, next)
}

// leadOn signs and sends what was just built, where the signer is here.
func (p *Payouts) leadOn(ctx context.Context, d *BatchDoc) (*BatchDoc, error) {
	if p.signer == nil {
		return d, nil
	}
	return p.advance(ctx, d)
}

// outputsUsed reports whether a transaction in the memory pool, or of this ledger, spends an output of d.
func (p *Payouts) outputsUsed(ctx context.Context, d *BatchDoc) (bool, error) {
	for _, b := range p.fold.batches {
		if b.loose() && !b.dead() && slices.ContainsFunc(b.Inputs, func(in build.Input) bool { return in.Batch == d.ID }) {
			return true, nil
		}
	}
	known, err := p.visible(ctx, d, &d.Version, true)
	if err != nil || known == nil {
		return false, err // the node does not have it: nothing can spend from it
	}
	for i := range d.Outputs {
		used, err := p.node.Spent(ctx, *d.TxID, uint32(i))
		if err != nil {
			return false, fmt.Errorf("ask the node who spends %s:%d: %w", d.TxID, i, err)
		}
		if used {
			return true, nil
		}
	}
	return false, nil
}

// replacing is the fee of a transaction that replaces others (BIP 125, rules 3 and 4): at least theirs and the
// minimum relay fee of its own size on top.
func replacing(rate, theirs pool.Amount) func(int64) (pool.Amount, int64, error) {
	return func(weight int64) (pool.Amount, int64, error) {
		fee, vsize, err := build.Fee(weight, rate)
		if err != nil {
			return 0, 0, err
		}
		least, err := theirs.Add(pool.Amount(vsize) * build.MinFeeRate / 1000)
		return max(fee, least), vsize, err
	}
}

// replace builds the next version of a batch.
func (p *Payouts) replace(ctx context.Context, d *BatchDoc, rate pool.Amount) (*BatchDoc, error) {
	o, err := p.order(rate, false)
	if err != nil {
		return nil, err
	}
	o.Sweep, o.FeeOf = 0, replacing(rate, d.Fee)
	spent, err := p.spentBy(d)
	if err != nil {
		return nil, err
	}
	for i, in := range d.Inputs {
		o.Must = append(o.Must, build.Coin{Input: in, Witness: spent[i].Source.Size})
	}
	o.Fixed = slices.Clone(d.Outputs)
	if last := len(o.Fixed) - 1; last > 0 && o.Fixed[last].Kind == build.KindChange {
		o.Fixed = o.Fixed[:last]
	}
	t, err := build.Make(o)
	if err != nil {
		return nil, fmt.Errorf("raise the fee: %w", err)
	}
	for _, c := range t.Coins[len(d.Inputs):] {
		if err := p.unspent(ctx, &c); err != nil {
			return nil, err
		}
	}
	c := d.clone()
	c.Earlier = append(c.Earlier, d.Version)
	vouts, fees := make([]*uint32, len(d.Payees)), make([]pool.Amount, len(d.Payees))
	for i, q := range d.Payees {
		vouts[i], fees[i] = q.Vout, q.Fee
	}
	t.Vouts = make([]uint32, len(d.Payees))
	take(c, t, rate)
	for i := range c.Payees { // as they were: the outputs before change are the same
		c.Payees[i].Vout, c.Payees[i].Fee = vouts[i], fees[i]
	}
	if err := p.packet(ctx, c); err != nil {
		return nil, err
	}
	c.Turn++
	return p.post(c, StateBuilt, fmt.Sprintf("fee %d in place of %d", c.Fee, d.Fee), nil)
}

// child builds a transaction that spends an own output of a stuck batch and pays for both.
func (p *Payouts) child(ctx context.Context, d *BatchDoc, author string, rate pool.Amount) (*BatchDoc, error) {
	i := slices.IndexFunc(d.Outputs, func(o build.Output) bool { return o.Kind == build.KindChange })
	if i < 0 {
		i = slices.IndexFunc(d.Outputs, func(o build.Output) bool { return o.Kind == build.KindBaton })
	}
	if i < 0 {
		return nil, fmt.Errorf("%w: %s has no output of the pool's own", ErrShort, d.ID)
	}
	out := d.Outputs[i]
	own := build.Input{Outpoint: build.Outpoint{TxID: *d.TxID, Vout: uint32(i)}, Value: out.Value, Kind: out.Kind, Script: out.Script, Batch: d.ID}
	for _, b := range p.fold.batches {
		if b.open() && slices.ContainsFunc(b.Inputs, func(in build.Input) bool { return in.Outpoint == own.Outpoint }) {
			return nil, fmt.Errorf("%w: %s spends %s already, bump that", ErrOpen, b.ID, own.Outpoint)
		}
	}
	s, ok := p.source(out.Script)
	if !ok {
		return nil, fmt.Errorf("%s belongs to %s, which there is no key for", own.Outpoint, p.address(out.Script))
	}
	o, err := p.order(rate, false)
	if err != nil {
		return nil, err
	}
	o.Sweep, o.Must = 0, []build.Coin{{Input: own, Witness: s.Size}}
	if out.Kind == build.KindBaton {
		o.Fixed = []build.Output{p.batonOutput()}
	}
	o.FeeOf = func(weight int64) (pool.Amount, int64, error) {
		_, vsize, err := build.Fee(weight, rate)
		if err != nil {
			return 0, 0, err
		}
		both, _, err := build.Fee(weight+4*d.VSize, rate)
		return max(both-d.Fee, pool.Amount(vsize)*build.MinFeeRate/1000), vsize, err
	}
	t, err := build.Make(o)
	if err != nil {
		return nil, fmt.Errorf("pay for a stuck payout: %w", err)
	}
	for _, c := range t.Coins[1:] {
		if err := p.unspent(ctx, &c); err != nil {
			return nil, err
		}
	}
	return p.postHelper(ctx, KindChild, d, author, t, rate, "pays for "+d.ID)
}

// postHelper books a batch that pays nobody as built.
func (p *Payouts) postHelper(ctx context.Context, kind string, of *BatchDoc, author string, t *build.Tx, rate pool.Amount, note string) (*BatchDoc, error) {
	h := &BatchDoc{
		V: docVersion, ID: helperID(kind, p.pool, of.ID, p.fold.seq), Pool: p.pool, Kind: kind, Of: of.ID, Seq: p.fold.seq,
		Author: author, Payees: []Payee{},
	}
	h.Run = h.ID
	take(h, t, rate)
	if err := p.packet(ctx, h); err != nil {
		return nil, err
	}
	return p.post(h, StateBuilt, note, nil)
}

// Cancel gives up a run. Before any of it was signed or exported its amounts are available again at once. After
// that its batons are spent elsewhere, and the amounts are available when that is final. A conflicted batch is
// given up when the conflict has lasted for the final depth.
func (p *Payouts) Cancel(ctx context.Context, id, author, reason string) (*BatchDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, err := p.find(id)
	if err != nil {
		return nil, err
	}
	if err := said(author, reason); err != nil {
		return d, err
	}
	docs := p.fold.runOf(d)
	if !slices.ContainsFunc(docs, (*BatchDoc).loose) {
		for _, d := range docs {
			if _, err := p.undo(d, reason); err != nil {
				return d, err
			}
		}
		return p.fold.byID[d.ID], nil
	}
	if d.dead() {
		return d, nil
	}
	if d.State == StateConflicted {
		return p.giveUp(ctx, d, reason)
	}
	if !d.pays() {
		return d, fmt.Errorf("%w: %s is a %s of %s and pays nobody; raise its fee with bump", ErrState, d.ID, d.Kind, d.Of)
	}
	if fan := docs[0]; fan.Kind == KindFan && fan.open() {
		at, _, err := p.look(ctx, fan)
		if err != nil {
			return d, err
		}
		if at == nil { // all parts go with it
			return p.spendElsewhere(ctx, fan, author, reason)
		}
	}
	var errs []error
	last := d
	for _, d := range docs {
		if d.dead() || d.booked() || d.Kind == KindFan {
			continue
		}
		if !d.loose() { // killed before the whole run was signed
			if next, err := p.undo(d, reason); err != nil {
				errs = append(errs, err)
			} else {
				last = next
			}
			continue
		}
		next, err := p.spendElsewhere(ctx, d, author, reason)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		last = next
	}
	if err := errors.Join(errs...); err != nil || last != d {
		return last, err
	}
	return d, fmt.Errorf("%w: %s is %s", ErrState, d.ID, d.State)
}

// spendElsewhere makes and sends the transaction that takes a batch's first input back.
func (p *Payouts) spendElsewhere(ctx context.Context, d *BatchDoc, author, reason string) (*BatchDoc, error) {
	at, spent, err := p.look(ctx, d)
	switch {
	case err != nil:
		return d, err
	case at != nil:
		return d, fmt.Errorf("%w: %s is in the chain at height %d, it is paid", ErrState, d.ID, at.height)
	case spent != nil:
		return p.check(ctx, d)
	}
	for _, b := range p.fold.batches {
		if b.Kind == KindCancel && b.Of == d.ID && !b.dead() {
			return p.leadOn(ctx, b)
		}
	}
	rate, err := p.feeRate(ctx)
	if err != nil {
		return d, err
	}
	o, err := p.order(rate, false)
	if err != nil {
		return d, err
	}
	sources, err := p.spentBy(d)
	if err != nil {
		return d, err
	}
	var theirs pool.Amount
	for _, v := range d.versions() {
		theirs = max(theirs, v.Fee)
	}
	o.Sweep, o.FeeOf = 0, replacing(rate, theirs)
	o.Must = []build.Coin{{Input: d.Inputs[0], Witness: sources[0].Source.Size}}
	if d.Inputs[0].Kind == build.KindBaton {
		o.Fixed = []build.Output{p.batonOutput()}
	}
	t, err := build.Make(o)
	if err != nil {
		return d, fmt.Errorf("cancel %s: %w", d.ID, err)
	}
	for _, c := range t.Coins[1:] {
		if err := p.unspent(ctx, &c); err != nil {
			return d, err
		}
	}
	c, err := p.postHelper(ctx, KindCancel, d, author, t, rate, reason)
	if err != nil {
		return d, err
	}
	return p.leadOn(ctx, c)
}

// giveUp frees what a conflicted batch owes once the conflict is as deep as final.
func (p *Payouts) giveUp(ctx context.Context, d *BatchDoc, reason string) (*BatchDoc, error) {
	at, spent, err := p.look(ctx, d)
	if err != nil {
		return d, err
	}
	if at != nil {
		return p.check(ctx, d)
	}
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return d, fmt.Errorf("ask the node for its tip: %w", err)
	}
	if spent == nil || tip.Height-d.Height < p.finalDepth {
		return d, fmt.Errorf("%w: the conflict was noticed at height %d and is final %d blocks later; the tip is %d", ErrConflicted, d.Height, p.finalDepth, tip.Height)
	}
	return p.free(d, reason)
}

// free cancels a batch whose transaction cannot be paid any more.
func (p *Payouts) free(d *BatchDoc, reason string) (*BatchDoc, error) {
	c := d.clone()
	c.Reason, c.Block, c.Height = reason, nil, 0
	return p.post(c, StateCancelled, "", move(d, ledger.InPayout, ledger.Available))
}
