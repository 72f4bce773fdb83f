package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"golang.org/x/sync/singleflight"
)

const (
	fresh      = time.Second            // snapshots and accounts are read again after this long
	patience   = 300 * time.Millisecond // how long a request waits for newer values than it could show
	storeCalls = 32                     // reads of one pool's store at a time
	chunkSize  = 50                     // documents read at a time
	maxChunks  = 64                     // of one set kept in memory
)

// snapshot is one pool's values at one moment. It is not changed after it was made.
type snapshot struct {
	checked  time.Time // when the store was asked last
	at       time.Time // when the values were read; zero when they never could be
	err      error     // of the last attempt
	view     pool.PoolView
	head     ledger.Head
	feePPM   *uint32 // in force at head and height; nil while the ledger has no schedule
	blocks   *docChunk[ledger.BlockDoc]
	payouts  *docChunk[payout.BatchDoc]
	effort   float64 // work on the block being sought, in expected blocks
	measured bool    // whether effort could be computed
}

// poolState is one pool with what is remembered of it.
type poolState struct {
	info      *PoolInfo     // static
	server    *Server       // static
	calls     chan struct{} // static; holds a token for each read of the store that runs
	blocks    docPages[ledger.BlockDoc]
	payouts   docPages[payout.BatchDoc]
	addresses addressBook
	accounts  accountCache

	mu      sync.Mutex
	last    *snapshot     // guarded by mu
	loading chan struct{} // guarded by mu; closed when the read that runs is done, nil when none runs
}

func newPoolState(info *PoolInfo, s *Server) *poolState {
	p := &poolState{info: info, server: s, calls: make(chan struct{}, storeCalls), last: &snapshot{
		err: errors.New("not read yet"), blocks: new(docChunk[ledger.BlockDoc]), payouts: new(docChunk[payout.BatchDoc]),
	}}
	p.blocks = docPages[ledger.BlockDoc]{pool: p, set: ledger.SetBlocks}
	p.payouts = docPages[payout.BatchDoc]{pool: p, set: payout.SetPayouts}
	return p
}

// call runs one read of the store under its deadline, with a bounded number of others.
func (p *poolState) call(ctx context.Context, read func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	select {
	case p.calls <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("too many reads of the store at once: %w", ctx.Err())
	}
	defer func() { <-p.calls }()
	return read(ctx)
}

// snapshot returns values at most a second old, or the newest there are when the store is slow or away.
func (p *poolState) snapshot(r request) *snapshot {
	p.mu.Lock()
	last := p.last
	if p.server.now().Sub(last.checked) < fresh && !last.checked.IsZero() {
		p.mu.Unlock()
		return last
	}
	done := p.loading
	if done == nil {
		done = make(chan struct{})
		p.loading = done
		r.loads.Go(func() {
			next := p.read(r.base, last)
			p.mu.Lock()
			p.last, p.loading = next, nil
			p.mu.Unlock()
			close(done)
		})
	}
	p.mu.Unlock()

	wait := patience
	if last.at.IsZero() {
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
func (p *poolState) read(ctx context.Context, last *snapshot) *snapshot {
	next := *last
	now := p.server.now()
	next.err = p.call(ctx, func(ctx context.Context) (err error) {
		store := p.info.Store
		if err := store.Health(ctx); err != nil {
			return err
		}
		if next.view, err = store.View(ctx); err != nil {
			return err
		}
		if next.head, err = store.Head(ctx); err != nil || !last.at.IsZero() && next.head == last.head && next.view.Height == last.view.Height {
			return err
		}
		next.feePPM, err = p.fee(ctx, next.view.Height)
		return err
	})
	if next.err == nil {
		next.blocks, next.err = p.blocks.chunk(ctx, next.head, 0)
	}
	if next.err == nil {
		next.payouts, next.err = p.payouts.chunk(ctx, next.head, 0)
	}
	if next.err != nil {
		next.view, next.head, next.blocks, next.payouts, next.feePPM = last.view, last.head, last.blocks, last.payouts, last.feePPM
		if last.err == nil {
			p.server.log.Warn().Err(next.err).Str("pool", p.info.ID).Msg("dashboard cannot read the store; it shows the last known values")
		}
	} else {
		next.at = now
		next.effort, next.measured = effort(&next.view, next.blocks.rows, now)
		if last.err != nil && !last.checked.IsZero() {
			p.server.log.Info().Str("pool", p.info.ID).Msg("dashboard can read the store again")
		}
	}
	next.checked = p.server.now()
	return &next
}

// maxFees bounds how many versions of the fee schedule are read.
const maxFees = 10_000

// fee is what all pay in the pool's scheme at a height, by the ledger's schedule; nil while it has none.
func (p *poolState) fee(ctx context.Context, height int64) (*uint32, error) {
	var docs []json.RawMessage
	for len(docs) < maxFees {
		more, total, err := p.info.Store.Docs(ctx, ledger.SetFees, len(docs), maxLimit)
		if err != nil {
			return nil, err
		}
		if docs = append(docs, more...); len(more) == 0 || len(docs) >= total {
			break
		}
	}
	fees, err := ledger.ParseFees(docs)
	if err != nil || len(fees) == 0 {
		return nil, err
	}
	ppm := fees.At(height, p.info.Scheme).PPM
	return &ppm, nil
}

// now is the pool with the fee of the ledger, once it is known.
func (p *poolState) now(snap *snapshot) *PoolInfo {
	if snap.feePPM == nil {
		return p.info
	}
	info := *p.info
	info.FeePPM = *snap.feePPM
	return &info
}

// effort estimates the work since the newest found block in expected blocks: 1 is par. Work is known in
// buckets of a minute, so nothing is said until ten minutes after a block, or when the chart does not
// reach from it to the present.
func effort(v *pool.PoolView, blocks []*ledger.BlockDoc, now time.Time) (float64, bool) {
	var found int64 // Unix seconds
	for _, b := range blocks {
		if b.State != ledger.BlockRejected {
			found = max(found, b.Time/1000)
		}
	}
	expected := expectedHashes(v)
	if found == 0 || expected == 0 || now.Unix()-found < 600 || len(v.History) == 0 || v.History[0].Time > found {
		return 0, false
	}
	var work float64
	end := found
	for _, h := range v.History {
		if part := min(h.Time+60-found, 60); part > 0 {
			work += h.Hashrate * float64(part)
			end = h.Time + 60
		}
	}
	if now.Unix()-end > 180 {
		return 0, false
	}
	work += v.Hashrate * float64(max(now.Unix()-end, 0))
	e := work / expected
	return e, e >= 0 && !math.IsInf(e, 0) && !math.IsNaN(e)
}

// expectedHashes is the network's expected number of hashes per block, 0 when it is not known.
func expectedHashes(v *pool.PoolView) float64 {
	var w pool.Work
	if w.UnmarshalText([]byte(v.NetworkWork)) != nil {
		return 0
	}
	return w.Float64()
}

// docChunk is one chunk of a set's documents, highest rank first.
type docChunk[T any] struct {
	head  ledger.Head // that the documents were read at, or before
	rows  []*T
	total int // documents in the set
}

// docPages remembers a set's chunks for as long as the ledger stands still.
type docPages[T any] struct {
	pool   *poolState // static
	set    string     // static
	flight singleflight.Group
	mu     sync.Mutex
	chunks map[int]*docChunk[T] // guarded by mu
}

// chunk returns chunk n as the store had it at head or later.
func (d *docPages[T]) chunk(ctx context.Context, head ledger.Head, n int) (*docChunk[T], error) {
	d.mu.Lock()
	c := d.chunks[n]
	d.mu.Unlock()
	if c != nil && c.head == head {
		return c, nil
	}
	v, err, _ := d.flight.Do(fmt.Sprint(n, head), func() (any, error) {
		c := &docChunk[T]{head: head}
		err := d.pool.call(ctx, func(ctx context.Context) error {
			bodies, total, err := d.pool.info.Store.Docs(ctx, d.set, n*chunkSize, chunkSize)
			c.total = total
			for _, body := range bodies {
				doc := new(T)
				if err := json.Unmarshal(body, doc); err != nil {
					d.pool.server.log.Warn().Err(err).Str("pool", d.pool.info.ID).Str("set", d.set).Msg("unreadable ledger document")
					continue
				}
				c.rows = append(c.rows, doc)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.chunks == nil || len(d.chunks) >= maxChunks {
			d.chunks = make(map[int]*docChunk[T])
		}
		d.chunks[n] = c
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*docChunk[T]), nil
}

// rows lists up to limit documents from offset on.
func (d *docPages[T]) rows(ctx context.Context, head ledger.Head, first *docChunk[T], offset, limit int) (rows []*T, total int, err error) {
	total = first.total
	for n := offset / chunkSize; n*chunkSize < min(offset+limit, total); n++ {
		c := first
		if n > 0 {
			if c, err = d.chunk(ctx, head, n); err != nil {
				return nil, 0, err
			}
		}
		from, to := max(offset-n*chunkSize, 0), min(offset+limit-n*chunkSize, len(c.rows))
		if from < to {
			rows = append(rows, c.rows[from:to]...)
		}
	}
	return rows, total, nil
}
