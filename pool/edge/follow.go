package edge

import (
	"context"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Ledger is where an edge reads what the ledger has on as many disks as it has to. It may know less than
// is true, never more.
type Ledger interface {
	// Released is the last sequence of each epoch of an edge that the ledger has, 0 where none is known.
	Released(ctx context.Context, edge string, epochs []uint64) (through []uint64, err error)
	// Settled says which found blocks the ledger has.
	Settled(ctx context.Context, blocks []pool.Hash) (known []bool, err error)
}

// follow drops what the ledger has from journal and candidate records, until ctx ends.
func (e *Edge) follow(ctx context.Context) {
	tick := time.NewTicker(e.opts.FollowEvery)
	defer tick.Stop()
	var warned time.Time
	for {
		if err := e.drop(ctx); err != nil && ctx.Err() == nil && time.Since(warned) > time.Minute {
			warned = time.Now()
			e.opts.Log.Warn().Err(err).Msg("what the ledger has is not known: journal and found blocks are kept")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// drop asks once.
func (e *Edge) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	infos := e.opts.Journal.Epochs()
	epochs := make([]uint64, len(infos))
	for i := range infos {
		epochs[i] = infos[i].Epoch
	}
	through, err := e.opts.Ledger.Released(ctx, e.opts.Name, epochs)
	if err != nil {
		return err
	}
	if len(through) != len(epochs) {
		return fmt.Errorf("asked for %d epochs, was told of %d", len(epochs), len(through))
	}
	for i, seq := range through {
		if seq == 0 {
			continue
		}
		if err := e.opts.Journal.Release(epochs[i], seq); err != nil {
			return fmt.Errorf("release journal segments: %w", err)
		}
	}
	blocks := e.candidates.unsettled()
	if len(blocks) == 0 {
		return nil
	}
	known, err := e.opts.Ledger.Settled(ctx, blocks)
	if err != nil {
		return err
	}
	for i, yes := range known {
		if yes {
			e.candidates.settled(blocks[i])
		}
	}
	return nil
}

// unsettled lists the found blocks that the ledger is not known to have.
func (c *candidates) unsettled() []pool.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []pool.Hash
	for id, p := range c.known {
		p.mu.Lock()
		if !p.record.Settled {
			out = append(out, id)
		}
		p.mu.Unlock()
	}
	return out
}
