package view

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Options configure a [Board].
type Options struct {
	Pools []PoolInfo
	NoDoc error // what Store.Doc returns, by errors.Is, for a document that is not there
	// BadCursor is what Store.Docs returns, by errors.Is, for a place that it never gave.
	BadCursor error
	// Live is nil when no edge runs in this process; ok is false for a pool that has none here.
	Live func(poolID string) (live Live, ok bool)
	// MaxJobAge is the age from which a job counts as stale in readyz; 0 is five minutes.
	MaxJobAge time.Duration
	Log       zerolog.Logger
	Now       func() time.Time // nil is time.Now
}

// Board is all pools. It is safe for concurrent use.
type Board struct {
	Pools []*Pool // static, in the order of Options

	opts   Options            // static
	now    func() time.Time   // static
	byID   map[string]*Pool   // static
	base   context.Context    // static; of all reads of the store
	cancel context.CancelFunc // static
	loads  sync.WaitGroup     // reads that outlive the request that began them
}

// New checks the options. Close the board when nothing asks it any more.
func New(o Options) (*Board, error) {
	if err := checkPools(o.Pools); err != nil {
		return nil, err
	}
	b := &Board{opts: o, now: o.Now, byID: make(map[string]*Pool)}
	if b.now == nil {
		b.now = time.Now
	}
	if b.opts.MaxJobAge == 0 {
		b.opts.MaxJobAge = 5 * time.Minute
	}
	b.base, b.cancel = context.WithCancel(context.Background())
	for i := range b.opts.Pools {
		p := newPool(&b.opts.Pools[i], b)
		b.Pools = append(b.Pools, p)
		b.byID[p.Info.ID] = p
	}
	return b, nil
}

// Close ends reads that are under way and waits for them.
func (b *Board) Close() {
	b.cancel()
	b.loads.Wait()
}

// Pool is the pool with an id, nil when there is none.
func (b *Board) Pool(id string) *Pool { return b.byID[id] }

// Now is the board's clock.
func (b *Board) Now() time.Time { return b.now() }
