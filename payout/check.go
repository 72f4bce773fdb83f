package payout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// place is where a transaction stands in the active chain.
type place struct {
	version *Version // of the batch that was asked for
	block   pool.Hash
	height  int64 // of block, or of a later one that builds on the transaction
	depth   int64 // confirmations
}

// Check asks the node how far every batch is that was signed and is not final, books what it learns, and
// sends again what the node has forgotten.
//
// A batch is booked as paid when it has ConfirmDepth confirmations, not before. If a reorganisation
// takes it out of the chain after that, it stays booked, because nothing else can spend its inputs
// without being seen, and its bytes are sent again; it is final at FinalDepth confirmations in the chain
// of that time. Only when another transaction spends one of its inputs is the booking reversed.
func (p *Payouts) Check(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return err
	}
	var errs []error
	for _, d := range append([]*BatchDoc(nil), p.fold.batches...) {
		if _, err := p.check(ctx, d); err != nil {
			errs = append(errs, fmt.Errorf("payout %s: %w", d.ID, err))
		}
	}
	return errors.Join(errs...)
}

// Watch calls Check at once and then every interval until ctx ends, and logs what it says. It leaves out each
// time at which ready says why no step may be taken: a ledger that may lack entries sends nothing again and
// decides nothing.
func (p *Payouts) Watch(ctx context.Context, interval time.Duration, ready func() error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	waits := false
	for {
		err := ready()
		if err != nil && !waits {
			p.log.Warn().Err(err).Str("pool", p.pool).Str(pool.EventField, pool.EventPayoutWaits).Msg("sent payouts are not followed now")
		}
		waits = err != nil
		if !waits {
			if err := p.Check(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn().Err(err).Str("pool", p.pool).Msg("payouts checked")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check is Check for one batch. It returns the batch as it stands then. Every batch of which a transaction was
// ever signed or exported is looked for until it is final: cancelled ones too.
func (p *Payouts) check(ctx context.Context, d *BatchDoc) (*BatchDoc, error) {
	if d.State == StateFinal || d.dead() && !d.loose() {
		return d, nil
	}
	if !d.loose() { // its fan may be cancelled all the same
		_, err := p.fanGone(d)
		return p.fold.byID[d.ID], err
	}
	at, spent, err := p.look(ctx, d)
	if err != nil {
		return d, err
	}
	if at != nil {
		return p.settle(d, at)
	}
	switch {
	case d.dead():
		return d, nil
	case d.State == StateConflicted:
		return d, fmt.Errorf("%w: %s", ErrConflicted, d.Reason)
	case spent != nil:
		return p.lost(ctx, d, spent)
	}
	if gone, err := p.fanGone(d); gone || err != nil {
		return p.fold.byID[d.ID], err
	}
	if x := p.fold.byID[d.Of]; x != nil && !d.booked() && (x.State == StateCancelled || x.State == StateFinal && *x.TxID != d.Inputs[0].TxID && d.Kind == KindChild) {
		c := d.clone()
		c.Reason = "the transaction that it spends from can never be"
		return p.post(c, StateReplaced, "", nil)
	}
	v := d.sent()
	if v == nil || p.halted() != nil && d.Kind != KindCancel {
		return d, nil
	}
	known, err := p.visible(ctx, d, v, true)
	if err != nil || known != nil {
		return d, err
	}
	sendErr := p.node.SendRawTransaction(ctx, v.Raw)
	if sendErr == nil {
		return d, nil
	}
	// The answer may be wrong or late. What counts is what the node has now.
	known, err = p.visible(ctx, d, v, true)
	switch {
	case err != nil:
		return d, fmt.Errorf("%w (%w), and then could not be asked: %w", ErrNotTaken, sendErr, err)
	case known != nil:
		return d, nil
	}
	for _, earlier := range d.versions()[1:] { // a replacement that pays too little for this node: it has the one before
		if known, err = p.visible(ctx, d, earlier, true); err != nil || known != nil {
			return d, err
		}
	}
	if slices.ContainsFunc(p.fold.cancelsOf(d), func(c *BatchDoc) bool { return c.sent() != nil }) {
		return d, nil // the transaction that is to take its place keeps it out
	}
	return d, fmt.Errorf("%w yet, the same bytes will be sent again: %w", ErrNotTaken, sendErr)
}

// sent is the version that is on its way: the newest one that was booked as broadcast.
func (d *BatchDoc) sent() *Version {
	switch {
	case (d.State == StateBroadcast || d.booked()) && len(d.Raw) > 0:
		return &d.Version
	case len(d.Earlier) > 0: // a fee bump that is not sent yet
		return &d.Earlier[len(d.Earlier)-1]
	}
	return nil
}

// cancelsOf are the batches that are to take the place of d or of its fan.
func (f *fold) cancelsOf(d *BatchDoc) (all []*BatchDoc) {
	of := map[string]bool{d.ID: true}
	if d.Part > 0 && d.Parts > 1 {
		of[f.runOf(d)[0].ID] = true
	}
	for _, b := range f.batches {
		if b.Kind == KindCancel && of[b.Of] && !b.dead() {
			all = append(all, b)
		}
	}
	return all
}

// lost books what it means that the chain has an input of d as spent, and not by d.
func (p *Payouts) lost(ctx context.Context, d *BatchDoc, spent *build.Input) (*BatchDoc, error) {
	for _, c := range p.fold.cancelsOf(d) {
		at, _, err := p.look(ctx, c)
		switch {
		case err != nil:
			return d, err
		case at != nil && (c.State == StateFinal || c.State == StateConfirmed && at.depth >= p.finalDepth):
			return p.free(d, "cancelled by "+c.ID+": "+lastNote(c))
		case at != nil:
			return d, nil
		}
	}
	if d.Kind == KindCancel {
		x := p.fold.byID[d.Of]
		at, _, err := p.look(ctx, x)
		if err != nil {
			return d, err
		}
		switch {
		case at != nil && at.depth >= p.finalDepth:
			c := d.clone()
			c.Reason = "what it was to cancel was paid"
			return p.post(c, StateReplaced, "", nil)
		case at != nil: // a reorganisation may still let it win
			return d, nil
		}
	}
	return p.conflict(ctx, d, spent)
}

// lastNote is what was said when a helper was made.
func lastNote(d *BatchDoc) string {
	if len(d.Steps) == 0 {
		return ""
	}
	return d.Steps[0].Note
}

// fanGone cancels a part whose fan was cancelled: the output that it spends will never be.
func (p *Payouts) fanGone(d *BatchDoc) (bool, error) {
	if d.Part == 0 || d.Parts < 2 {
		return false, nil
	}
	fan := p.fold.runOf(d)[0]
	if fan.Kind != KindFan || fan.State != StateCancelled {
		return false, nil
	}
	reason := "with its fan: " + fan.Reason
	if !d.loose() {
		_, err := p.undo(d, reason)
		return true, err
	}
	_, err := p.free(d, reason)
	return true, err
}

// settle books what a place in the chain means for a batch.
func (p *Payouts) settle(d *BatchDoc, at *place) (*BatchDoc, error) {
	c := d.clone()
	other := *at.version.TxID != *d.TxID
	if other { // an earlier version was paid
		for i := range c.Earlier {
			if *c.Earlier[i].TxID == *at.version.TxID {
				c.Version, c.Earlier[i] = c.Earlier[i], c.Version
			}
		}
	}
	c.Block, c.Height = &at.block, at.height
	switch {
	case d.State == StateConfirmed && at.depth >= p.finalDepth && !other:
		return p.post(c, StateFinal, "", nil)
	case d.State == StateConfirmed && !other || at.depth < p.confirmDepth:
		return d, nil
	}
	postings := outflow(c)
	e := []ledger.Account(nil)
	switch d.State {
	case StateConfirmed: // a reorganisation put another version of it into the chain
		c.Turn++
		postings = append(reversed(outflow(d)), postings...)
	case StateConflicted:
		c.Turn++
	case StateCancelled: // given up, its amounts freed, and paid all the same
		c.Turn++
		for i := range c.Payees {
			from := ledger.MinerAvailable(c.Payees[i].Account)
			postings[i].Debit = from
			e = append(e, from)
		}
		p.log.Error().Str(pool.EventField, pool.EventPayoutRevived).Str("pool", p.pool).Str("payout", d.ID).Stringer("txid", c.TxID).Msg("a cancelled payout was paid: its amounts are taken from what is available")
	}
	c.Reason = ""
	return p.postOverdraft(c, StateConfirmed, "", postings, e)
}

// conflict books that an input was spent elsewhere, and takes back a booked payment.
func (p *Payouts) conflict(ctx context.Context, d *BatchDoc, spent *build.Input) (*BatchDoc, error) {
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return d, fmt.Errorf("ask the node for its tip: %w", err)
	}
	c := d.clone()
	c.Reason = fmt.Sprintf("%s %s was spent by another transaction", spent.Kind, spent.Outpoint)
	var back []ledger.Posting
	if d.State == StateConfirmed {
		back = reversed(outflow(d))
	}
	c.Block, c.Height = nil, tip.Height
	c, err = p.post(c, StateConflicted, "", back)
	if err != nil {
		return d, err
	}
	p.log.Error().Str(pool.EventField, pool.EventPayoutConflicted).Str("pool", p.pool).Str("payout", d.ID).Stringer("txid", d.TxID).Str("reason", c.Reason).
		Msg("payout conflicted: find out who spent the coin; no payout is made until then")
	return c, fmt.Errorf("%w: %s", ErrConflicted, c.Reason)
}

// outflow books a payout as paid: what was owed to the payees and what of the network fee they do not bear leave
// the wallet.
func outflow(d *BatchDoc) []ledger.Posting {
	postings := make([]ledger.Posting, 0, len(d.Payees)+1)
	fee := d.Fee
	for _, q := range d.Payees {
		postings = append(postings, ledger.Posting{Debit: ledger.MinerInPayout(q.Account), Credit: ledger.Wallet, Amount: q.Amount})
		fee -= q.Fee
	}
	if fee > 0 {
		postings = append(postings, ledger.Posting{Debit: ledger.NetworkFee, Credit: ledger.Wallet, Amount: fee})
	}
	return postings
}

// reversed takes postings back.
func reversed(postings []ledger.Posting) []ledger.Posting {
	back := make([]ledger.Posting, len(postings))
	for i, q := range postings {
		back[i] = ledger.Posting{Debit: q.Credit, Credit: q.Debit, Amount: q.Amount}
	}
	return back
}

// errMoving reports that the chain grew under the questions.
var errMoving = errors.New("the chain's tip moved while the node was asked")

// look says where a batch's transaction stands in the chain, or else which of its inputs the chain has
// as spent. Inputs are asked for before the transaction is, and the tip must not move between: otherwise
// our own transaction, confirmed in between, would look like a conflict.
func (p *Payouts) look(ctx context.Context, d *BatchDoc) (at *place, spent *build.Input, err error) {
	for range 5 {
		if at, spent, err = p.lookOnce(ctx, d); !errors.Is(err, errMoving) {
			return at, spent, err
		}
	}
	return nil, nil, err
}

func (p *Payouts) lookOnce(ctx context.Context, d *BatchDoc) (*place, *build.Input, error) {
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the node for its tip: %w", err)
	}
	if d.State != StateConflicted {
		if active, err := p.active(ctx, d.Block, d.Height); err != nil {
			return nil, nil, err
		} else if active {
			return &place{&d.Version, *d.Block, d.Height, tip.Height - d.Height + 1}, nil, nil
		}
	}
	var spent *build.Input
	for i := range d.Inputs {
		out, err := p.node.TxOut(ctx, d.Inputs[i].TxID, d.Inputs[i].Vout, false)
		if err != nil {
			return nil, nil, fmt.Errorf("ask the node for input %s: %w", d.Inputs[i].Outpoint, err)
		}
		if out != nil {
			continue
		}
		if made, err := p.made(ctx, &d.Inputs[i]); err != nil {
			return nil, nil, err
		} else if made {
			spent = &d.Inputs[i]
			break
		}
	}
	var at *place
	for _, v := range d.versions() {
		out, err := p.visible(ctx, d, v, false)
		if err != nil {
			return nil, nil, err
		}
		if out == nil {
			continue
		}
		at = &place{version: v, height: tip.Height - out.Confirmations + 1, depth: out.Confirmations}
		if at.block, err = p.node.BlockHash(ctx, at.height); err != nil {
			return nil, nil, fmt.Errorf("ask the node for block %d: %w", at.height, err)
		}
		break
	}
	end, err := p.node.Tip(ctx)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("ask the node for its tip: %w", err)
	case end != tip:
		return nil, nil, errMoving
	case at != nil:
		return at, nil, nil
	}
	return nil, spent, nil
}

// made reports whether the transaction that made an input is in the active chain. When it is not, the
// input is missing, but not spent.
func (p *Payouts) made(ctx context.Context, in *build.Input) (bool, error) {
	if in.Block != nil {
		return p.active(ctx, in.Block, in.Height)
	}
	b, err := p.fold.find(in.Batch)
	if err != nil {
		return false, err
	}
	for _, v := range b.versions() {
		if *v.TxID != in.TxID {
			continue
		}
		if b.State != StateConflicted && v == &b.Version {
			if active, err := p.active(ctx, b.Block, b.Height); active || err != nil {
				return active, err
			}
		}
		out, err := p.visible(ctx, b, v, false)
		return out != nil, err
	}
	return false, nil
}

// active reports whether a block stands in the active chain; no block does not.
func (p *Payouts) active(ctx context.Context, block *pool.Hash, height int64) (bool, error) {
	if block == nil {
		return false, nil
	}
	hash, err := p.node.BlockHash(ctx, height)
	if err != nil && !errors.Is(err, pool.ErrNoBlock) {
		return false, fmt.Errorf("ask the node for block %d: %w", height, err)
	}
	return err == nil && hash == *block, nil
}

// visible finds an output of a batch's transaction that the node has as unspent: one that came back to
// the pool, or one of a transaction of the ledger that spent those. Nil: the node has none.
func (p *Payouts) visible(ctx context.Context, d *BatchDoc, v *Version, mempool bool) (*TxOut, error) {
	for i, o := range v.Outputs {
		if o.Kind == build.KindPayee {
			continue
		}
		out, err := p.node.TxOut(ctx, *v.TxID, uint32(i), mempool)
		if err != nil {
			return nil, fmt.Errorf("ask the node for transaction %s: %w", v.TxID, err)
		}
		if out != nil && (mempool || out.Confirmations > 0) {
			return out, nil
		}
	}
	for _, b := range p.fold.spenders[*v.TxID] {
		for _, next := range b.versions() {
			if !slices.ContainsFunc(next.Inputs, func(in build.Input) bool { return in.TxID == *v.TxID }) {
				continue
			}
			if out, err := p.visible(ctx, b, next, mempool); out != nil || err != nil {
				return out, err
			}
		}
	}
	return nil, nil
}
