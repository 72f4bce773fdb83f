package payout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// place is where a transaction stands in the active chain.
type place struct {
	block  pool.Hash
	height int64 // of block, or of a later one that builds on the transaction
	depth  int64 // confirmations
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

// Watch calls Check at once and then every interval until ctx ends, and logs what it says.
func (p *Payouts) Watch(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := p.Check(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn().Err(err).Str("pool", p.pool).Msg("payouts checked")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check is Check for one batch. It returns the batch as it stands then.
func (p *Payouts) check(ctx context.Context, d *BatchDoc) (*BatchDoc, error) {
	switch d.State {
	case StateSigned, StateBroadcast, StateConfirmed, StateConflicted:
	default:
		return d, nil
	}
	at, spent, err := p.look(ctx, d)
	if err != nil {
		return d, err
	}
	if at != nil {
		return p.settle(d, at)
	}
	switch {
	case d.State == StateConflicted:
		return d, fmt.Errorf("%w: %s", ErrConflicted, d.Reason)
	case spent != nil:
		return p.conflict(d, spent)
	case d.State == StateSigned:
		return d, nil // never sent
	}
	known, err := p.visible(ctx, d, true)
	if err != nil || known != nil {
		return d, err
	}
	sendErr := p.node.SendRawTransaction(ctx, d.Raw)
	if sendErr == nil {
		return d, nil
	}
	// The answer may be wrong or late. What counts is what the node has now.
	known, err = p.visible(ctx, d, true)
	switch {
	case err != nil:
		return d, fmt.Errorf("%w (%w), and then could not be asked: %w", ErrNotTaken, sendErr, err)
	case known == nil:
		return d, fmt.Errorf("%w yet, the same bytes will be sent again: %w", ErrNotTaken, sendErr)
	}
	return d, nil
}

// settle books what a place in the chain means for a batch.
func (p *Payouts) settle(d *BatchDoc, at *place) (*BatchDoc, error) {
	c := d.clone()
	c.Block, c.Height = &at.block, at.height
	switch {
	case d.State == StateConfirmed && at.depth >= p.finalDepth:
		return p.post(c, StateFinal, "", nil)
	case d.State == StateConfirmed || at.depth < p.confirmDepth:
		return d, nil
	}
	if d.State == StateConflicted {
		c.Turn++
		c.Reason = ""
	}
	return p.post(c, StateConfirmed, "", outflow(d))
}

// conflict books that an input was spent elsewhere, and takes back a booked payment.
func (p *Payouts) conflict(d *BatchDoc, spent *Input) (*BatchDoc, error) {
	c := d.clone()
	c.Reason = fmt.Sprintf("%s %s was spent by another transaction", spent.Kind, spent.Outpoint)
	var back []ledger.Posting
	if d.State == StateConfirmed {
		for _, q := range outflow(d) {
			back = append(back, ledger.Posting{Debit: q.Credit, Credit: q.Debit, Amount: q.Amount})
		}
		c.Block, c.Height = nil, 0
	}
	c, err := p.post(c, StateConflicted, "", back)
	if err != nil {
		return d, err
	}
	p.log.Error().Str("pool", p.pool).Str("payout", d.ID).Stringer("txid", d.TxID).Str("reason", c.Reason).
		Msg("payout conflicted: find out who spent the coin; no payout is made until then")
	return c, fmt.Errorf("%w: %s", ErrConflicted, c.Reason)
}

// outflow books a payout as paid: what the payees got and what the network took leave the wallet.
func outflow(d *BatchDoc) []ledger.Posting {
	postings := make([]ledger.Posting, 0, len(d.Payees)+1)
	for _, q := range d.Payees {
		postings = append(postings, ledger.Posting{Debit: ledger.MinerInPayout(q.Account), Credit: ledger.Wallet, Amount: q.Amount})
	}
	if d.Fee > 0 {
		postings = append(postings, ledger.Posting{Debit: ledger.NetworkFee, Credit: ledger.Wallet, Amount: d.Fee})
	}
	return postings
}

// errMoving reports that the chain grew under the questions.
var errMoving = errors.New("the chain's tip moved while the node was asked")

// look says where a batch's transaction stands in the chain, or else which of its inputs the chain has
// as spent. Inputs are asked for before the transaction is, and the tip must not move between: otherwise
// our own transaction, confirmed in between, would look like a conflict.
func (p *Payouts) look(ctx context.Context, d *BatchDoc) (at *place, spent *Input, err error) {
	for range 5 {
		if at, spent, err = p.lookOnce(ctx, d); !errors.Is(err, errMoving) {
			return at, spent, err
		}
	}
	return nil, nil, err
}

func (p *Payouts) lookOnce(ctx context.Context, d *BatchDoc) (*place, *Input, error) {
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the node for its tip: %w", err)
	}
	if active, err := p.active(ctx, d.Block, d.Height); err != nil {
		return nil, nil, err
	} else if active {
		return &place{*d.Block, d.Height, tip.Height - d.Height + 1}, nil, nil
	}
	var spent *Input
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
	out, err := p.visible(ctx, d, false)
	if err != nil {
		return nil, nil, err
	}
	var at *place
	if out != nil {
		at = &place{height: tip.Height - out.Confirmations + 1, depth: out.Confirmations}
		if at.block, err = p.node.BlockHash(ctx, at.height); err != nil {
			return nil, nil, fmt.Errorf("ask the node for block %d: %w", at.height, err)
		}
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
func (p *Payouts) made(ctx context.Context, in *Input) (bool, error) {
	if in.Block != nil {
		return p.active(ctx, in.Block, in.Height)
	}
	b, err := p.fold.find(in.Batch)
	if err != nil {
		return false, err
	}
	if active, err := p.active(ctx, b.Block, b.Height); active || err != nil {
		return active, err
	}
	out, err := p.visible(ctx, b, false)
	return out != nil, err
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
// the pool, or one of the transaction that spent those, which is the next payout. Nil: the node has none.
func (p *Payouts) visible(ctx context.Context, d *BatchDoc, mempool bool) (*TxOut, error) {
	for d != nil && d.TxID != nil {
		for i, o := range d.Outputs {
			if o.Kind == KindPayee {
				continue
			}
			out, err := p.node.TxOut(ctx, *d.TxID, uint32(i), mempool)
			if err != nil {
				return nil, fmt.Errorf("ask the node for transaction %s: %w", d.TxID, err)
			}
			if out != nil && (mempool || out.Confirmations > 0) {
				return out, nil
			}
		}
		d = p.fold.successor(d)
	}
	return nil, nil
}

// successor is the signed batch that spends d's baton.
func (f *fold) successor(d *BatchDoc) *BatchDoc {
	baton, _, _ := d.Baton()
	for _, b := range f.batches {
		if b.dead() || len(b.Raw) == 0 {
			continue
		}
		for _, in := range b.Inputs {
			if in.Outpoint == baton {
				return b
			}
		}
	}
	return nil
}
