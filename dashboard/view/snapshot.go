package view

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

const (
	fresh      = time.Second            // snapshots and accounts are read again after this long
	patience   = 300 * time.Millisecond // how long a request waits for newer values than it could show
	storeTime  = 2 * time.Second        // for the store to answer one request
	storeCalls = 32                     // reads of one pool's store at a time
)

// Snapshot is one pool's values at one moment. It is not changed after it was made.
type Snapshot struct {
	At       time.Time // when the values were read; zero when they never could be
	Err      error     // of the last attempt
	View     pool.PoolView
	Head     ledger.Head
	Blocks   *Rows[ledger.BlockDoc] // the newest
	Payouts  *Rows[payout.BatchDoc] // the newest
	FeePPM   *uint32                // in force at Head and height; nil while the ledger has no schedule
	Effort   float64                // work on the block being sought, in expected blocks
	Measured bool                   // whether Effort could be computed
	Trivial  bool                   // a block takes hardly more work than a share: luck and effort have no meaning

	private *privacies // nil when they never could be read
	checked time.Time  // when the store was asked last
}

// Pool is one pool with what is remembered of it.
type Pool struct {
	Info    *PoolInfo // static
	Blocks  docPages[ledger.BlockDoc]
	Payouts docPages[payout.BatchDoc]

	board     *Board        // static
	calls     chan struct{} // static; holds a token for each read of the store that runs
	addresses addressBook
	accounts  memory[accountKey, *Account]
	histories memory[historyKey, []pool.HistoryPoint]
	leaders   memory[struct{}, *Leaders]
	credits   memory[listKey, *Credits]
	paid      memory[listKey, *Payouts]

	mu      sync.Mutex
	last    *Snapshot     // guarded by mu
	loading chan struct{} // guarded by mu; closed when the read that runs is done, nil when none runs
}

func newPool(info *PoolInfo, b *Board) *Pool {
	p := &Pool{Info: info, board: b, calls: make(chan struct{}, storeCalls), last: &Snapshot{
		Err: errors.New("not read yet"), Blocks: new(Rows[ledger.BlockDoc]), Payouts: new(Rows[payout.BatchDoc]),
	}}
	p.Blocks = docPages[ledger.BlockDoc]{pool: p, set: ledger.SetBlocks}
	p.Payouts = docPages[payout.BatchDoc]{pool: p, set: payout.SetPayouts}
	p.accounts = memory[accountKey, *Account]{pool: p, fresh: fresh, most: maxAccounts}
	p.histories = memory[historyKey, []pool.HistoryPoint]{pool: p, fresh: 10 * fresh, most: maxHistories}
	p.credits = memory[listKey, *Credits]{pool: p, fresh: fresh, most: maxLists}
	p.paid = memory[listKey, *Payouts]{pool: p, fresh: fresh, most: maxLists}
	p.leaders = memory[struct{}, *Leaders]{pool: p, fresh: 10 * fresh, most: 1}
	return p
}

// call runs one read of the store under its deadline, with a bounded number of others.
func (p *Pool) call(read func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(p.board.base, storeTime)
	defer cancel()
	select {
	case p.calls <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("too many reads of the store at once: %w", ctx.Err())
	}
	defer func() { <-p.calls }()
	return read(ctx)
}

// Snapshot returns values at most a second old, or the newest there are when the store is slow or away.
func (p *Pool) Snapshot() *Snapshot {
	p.mu.Lock()
	last := p.last
	if p.board.now().Sub(last.checked) < fresh && !last.checked.IsZero() {
		p.mu.Unlock()
		return last
	}
	done := p.loading
	if done == nil {
		done = make(chan struct{})
		p.loading = done
		p.board.loads.Go(func() {
			next := p.read(last)
			p.mu.Lock()
			p.last, p.loading = next, nil
			p.mu.Unlock()
			close(done)
		})
	}
	p.mu.Unlock()

	wait := patience
	if last.At.IsZero() {
		wait = storeTime
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// read asks the store; what cannot be read is taken over from last.
func (p *Pool) read(last *Snapshot) *Snapshot {
	next := *last
	now := p.board.now()
	next.Err = p.call(func(ctx context.Context) (err error) {
		store := p.Info.Store
		if err := store.Health(ctx); err != nil {
			return err
		}
		if next.View, err = store.View(ctx); err != nil {
			return err
		}
		if next.Head, err = store.Head(ctx); err != nil || !last.At.IsZero() && next.Head == last.Head && next.View.Height == last.View.Height {
			return err
		}
		next.FeePPM, err = p.fee(ctx, next.View.Height)
		return err
	})
	if next.Err == nil {
		next.Blocks, next.Err = p.Blocks.page(next.Head, "", newest)
	}
	if next.Err == nil {
		next.Payouts, next.Err = p.Payouts.page(next.Head, "", newest)
	}
	if next.Err == nil && (last.private == nil || next.Head != last.Head) {
		var private *privacies
		if private, next.Err = p.readPrivacy(last.private); next.Err == nil {
			next.private = private
		}
	}
	log := &p.board.opts.Log
	if next.Err != nil {
		next.View, next.Head, next.Blocks, next.Payouts, next.FeePPM = last.View, last.Head, last.Blocks, last.Payouts, last.FeePPM
		if last.Err == nil {
			log.Warn().Err(next.Err).Str(pool.EventField, pool.EventDashboardBlind).Str("pool", p.Info.ID).Msg("dashboard cannot read the store; it shows the last known values")
		}
	} else {
		next.At = now
		next.Effort, next.Measured = effort(&next.View, next.Blocks.Docs, now)
		next.Trivial = trivial(&next.View)
		next.Measured = next.Measured && !next.Trivial
		if last.Err != nil && !last.checked.IsZero() {
			log.Info().Str(pool.EventField, pool.EventDashboardSees).Str("pool", p.Info.ID).Msg("dashboard can read the store again")
		}
	}
	next.checked = p.board.now()
	return &next
}

// Calls is how many reads of the store are under way.
func (p *Pool) Calls() int { return len(p.calls) }
