package payout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

const (
	listLife   = time.Hour   // of a list; it is made anew when half of it is over
	listAgain  = time.Minute // between two looks while ledger and tip stand still
	settleBack = 24          // blocks below the tip that the ledger must have before a list is made
	// retireDepth is how many blocks on the block that a job was for end all hope of it.
	retireDepth = 6
)

// listed is when nothing had to be done.
type listed struct {
	tip pool.Tip
	seq uint64 // of the ledger
	at  time.Time
}

// ListPayees posts the list of accounts that coinbases on the node's tip pay, when there is a reason to: a new tip, a
// list that is half over, or somebody who is on it and may not be paid any more, or the other way round. It names
// those that are owed most, of what is available; who is held, or is in a payout that is open, is not named, and who
// is named is in no payout until every job that can pay him is retired. It makes no list before the ledger has all
// of the pool's blocks up to the tip.
func (p *Payouts) ListPayees(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.direct == 0 {
		return nil
	}
	if err := p.refresh(); err != nil {
		return err
	}
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return fmt.Errorf("ask the node for its tip: %w", err)
	}
	now := p.now()
	if p.listed.tip == tip && p.listed.seq == p.fold.seq && now.Sub(p.listed.at).Abs() < listAgain {
		return nil // nothing has changed but, it may be, a file
	}
	if err := p.settledTo(ctx, tip); err != nil {
		return err
	}
	var payees []ledger.CoinbasePayee
	if p.halted() == nil {
		if payees, err = p.chooseDirect(ctx, p.chain.Subsidy(tip.Height+1)-pool.LeastOwn); err != nil {
			return err
		}
	}
	old := p.fold.list
	if (old == nil || len(old.Payees) == 0) && len(payees) == 0 {
		p.listed = listed{tip, p.fold.seq, now}
		return nil
	}
	doc := ledger.PayeesDoc{V: ledger.PayeesVersion, Tip: tip.Hash, Height: tip.Height, Expires: now.Add(listLife).UnixMilli(), Payees: payees}
	for { // after a reorganisation the tip may have had lists before others
		_, taken, err := p.book.Find(ledger.PayeesKey(tip.Hash, doc.Number))
		if err != nil {
			return err
		}
		if !taken {
			break
		}
		doc.Number++
	}
	if old != nil && old.Tip == tip.Hash && time.UnixMilli(old.Expires).Sub(now) > listLife/2 && slices.EqualFunc(old.Payees, payees, samePayee) {
		p.listed = listed{tip, p.fold.seq, now}
		return nil
	}
	after, err := p.node.Tip(ctx)
	if err != nil || after != tip {
		return err // the next call makes the list of the new tip
	}
	body, err := ledger.Body(doc)
	if err != nil {
		return err
	}
	if _, err = p.book.Post(ledger.Entry{
		Time: now.UnixMilli(), Kind: "coinbase.payees", Key: ledger.PayeesKey(tip.Hash, doc.Number), Body: body,
		Subject: &ledger.Subject{Set: ledger.SetPayees, ID: ledger.SetPayees},
	}); err != nil {
		return fmt.Errorf("book the list of coinbase payees: %w", err)
	}
	return p.refresh()
}

func samePayee(a, b ledger.CoinbasePayee) bool {
	return a.Account == b.Account && a.Amount == b.Amount && bytes.Equal(a.Script, b.Script)
}

// errUnsettled reports a block of the pool that the ledger does not have as part of the chain yet.
var errUnsettled = errors.New("settlement has not taken in a block of the pool yet: coinbases pay the pool alone until then")

// nearBlock is what a block near the tip says.
type nearBlock struct {
	parent pool.Hash
	ours   bool // its coinbase pays the pool
}

// settledTo checks that the ledger has every block of the pool from some way below the tip up to it.
func (p *Payouts) settledTo(ctx context.Context, tip pool.Tip) error {
	near := map[pool.Hash]nearBlock{}
	hash := tip.Hash
	for h := tip.Height; h > max(0, tip.Height-settleBack); h-- {
		b, known := p.near[hash]
		if !known {
			raw, err := p.node.RawBlock(ctx, hash)
			if err != nil {
				return fmt.Errorf("read block %s: %w", hash, err)
			}
			if len(raw) < headerSize || p.chain.BlockID((*[headerSize]byte)(raw)) != hash {
				return fmt.Errorf("%w: the node sent another block for %s", ErrMismatch, hash)
			}
			txs, err := readBlock(raw)
			if err != nil {
				return fmt.Errorf("read block %s: %w", hash, err)
			}
			copy(b.parent[:], raw[4:36])
			b.ours = slices.ContainsFunc(txs[0].outputs, func(o blockOut) bool { return o.value > 0 && p.isOwn(o.script) })
			p.near[hash] = b
		}
		near[hash] = b
		if doc := p.fold.blocks[hash]; b.ours && (doc == nil || doc.State != ledger.BlockImmature && doc.State != ledger.BlockMature) {
			return fmt.Errorf("%w (%s at height %d)", errUnsettled, hash, h)
		}
		hash = b.parent
	}
	p.near = near
	return nil
}

// isOwn reports whether an output script is the pool's, now or before.
func (p *Payouts) isOwn(script []byte) bool {
	_, known := p.source(script)
	return known || bytes.Equal(script, p.script)
}

// paidDirectly are the accounts that a coinbase may still pay: a job of a list that names them is not retired.
func (p *Payouts) paidDirectly(ctx context.Context) (map[pool.AccountID]bool, error) {
	if len(p.fold.named) == 0 {
		return nil, nil
	}
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the node for its tip: %w", err)
	}
	all := map[pool.AccountID]bool{}
	for id, height := range p.fold.named {
		all[id] = tip.Height < height+1+retireDepth
	}
	return all, nil
}

// chooseDirect lists who is owed most and may be paid by a coinbase, together no more than room: what any next block
// brings for sure. Accounts that are owed more than is left of it, that have a period of their own or are above a
// limit, are paid by payouts.
func (p *Payouts) chooseDirect(ctx context.Context, room pool.Amount) ([]ledger.CoinbasePayee, error) {
	balances, err := p.balances()
	if err != nil {
		return nil, err
	}
	denied, err := p.denied()
	if err != nil {
		return nil, err
	}
	busy := map[pool.AccountID]bool{}
	for _, d := range p.fold.batches {
		// One that was given up may be paid after all while it is not final.
		if d.open() || d.loose() && d.State != StateFinal && d.State != StateConfirmed && d.State != StateReplaced {
			for i := range d.Payees {
				busy[d.Payees[i].Account] = true
			}
		}
	}
	now := p.now().UnixMilli()
	var paid map[pool.AccountID]lastPaid
	if p.limits.UnknownHold {
		paid = p.fold.history()
	}
	var due []Payee
	for account, amount := range balances {
		id, side, ok := account.Miner()
		if !ok || side != ledger.Available || amount < p.threshold || busy[id] {
			continue
		}
		doc := p.fold.payee(id)
		q := Payee{Account: id, Amount: amount, Script: p.fold.destination(p.pool, id, now)}
		last, before := paid[id]
		switch {
		case amount < doc.Terms.Threshold, doc.Terms.Paused, doc.Terms.Period != Always, doc.Hold != nil,
			q.Script == nil, amount < build.Dust(q.Script, p.dustRate), bytes.Equal(q.Script, p.script),
			denied[string(q.Script)] && doc.Cleared == "",
			p.limits.Payee > 0 && amount > p.limits.Payee,
			p.limits.UnknownHold && doc.Cleared == "" && (!before || last.script != string(q.Script)):
			continue
		}
		q.Address = p.address(q.Script)
		due = append(due, q)
	}
	largest := func(a, b Payee) int {
		return cmp.Or(-cmp.Compare(a.Amount, b.Amount), bytes.Compare(a.Script, b.Script), bytes.Compare(a.Account[:], b.Account[:]))
	}
	slices.SortFunc(due, largest)
	due = slices.DeleteFunc(due, func(q Payee) bool {
		if q.Amount > room {
			return true
		}
		room -= q.Amount
		return false
	})
	due = due[:min(len(due), p.direct)]
	due, screened, err := p.screened(ctx, due)
	if err != nil {
		return nil, err
	}
	for i := range screened {
		doc := p.fold.payee(screened[i].Account)
		if doc.Cleared == screened[i].Reason {
			due = append(due, screened[i])
			continue
		}
		doc.Hold = &Hold{Source: HoldScreen, Reason: screened[i].Reason, Time: now}
		if err := p.postHold(doc); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(due, largest)
	scripts := map[string]bool{}
	var out []ledger.CoinbasePayee
	for _, q := range due {
		if scripts[string(q.Script)] { // one output names one account
			continue
		}
		scripts[string(q.Script)] = true
		out = append(out, ledger.CoinbasePayee{Account: q.Account, Script: ledger.Hex(q.Script), Amount: q.Amount})
	}
	return out, nil
}

// WatchPayees keeps the list of coinbase payees up to the tip until ctx ends.
func (p *Payouts) WatchPayees(ctx context.Context, interval time.Duration) {
	if p.direct == 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var said time.Time
	for {
		err := p.ListPayees(ctx)
		if err != nil && !errors.Is(err, errUnsettled) && ctx.Err() == nil && time.Since(said) > time.Minute {
			said = time.Now()
			p.log.Warn().Err(err).Str("pool", p.pool).Msg("there is no list of coinbase payees now: coinbases pay the pool")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// DirectStatus is whom coinbases pay.
type DirectStatus struct {
	List    *ledger.PayeesDoc `json:"list"`    // newest one, nil when there was none
	Waiting []pool.AccountID  `json:"waiting"` // in no payout: a job that pays them is not retired
}

// Direct tells whom coinbases pay.
func (p *Payouts) Direct(ctx context.Context) (*DirectStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return nil, err
	}
	all, err := p.paidDirectly(ctx)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all, func(_ pool.AccountID, on bool) bool { return !on })
	return &DirectStatus{List: p.fold.list, Waiting: slices.SortedFunc(maps.Keys(all), func(a, b pool.AccountID) int { return bytes.Compare(a[:], b[:]) })}, nil
}
