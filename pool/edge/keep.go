package edge

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/adit-pool/adit/pool"
)

// keep watches over blocks that a node has taken, until they are mature and no node has them in memory alone: one
// that is killed can forget what it had not on disk yet, and the others may never have heard of it. Then the block
// is offered again.
func (c *candidates) keep(ctx context.Context) {
	tick := time.NewTicker(c.opts.KeepEvery)
	defer tick.Stop()
	for {
		taken := c.taken()
		for i := range c.nodes {
			if ctx.Err() != nil {
				return
			}
			c.keepOn(ctx, &c.nodes[i], taken)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// taken lists the blocks that nodes have answered for and that may still be forgotten, parents first: a node
// that forgot several in a row takes none before its parent.
func (c *candidates) taken() []*pursuit {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*pursuit
	for _, p := range c.known {
		p.mu.Lock()
		if p.mayReturn() {
			out = append(out, p)
		}
		p.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b *pursuit) int { return cmp.Compare(a.candidate.Height, b.candidate.Height) })
	return out
}

// mayReturn reports that the chain may come to have the block, or lose it. p.mu is held.
func (p *pursuit) mayReturn() bool {
	return !p.over && (p.record.Result == pool.SubmitAccepted.String() || p.record.Result == pool.SubmitSideChain.String())
}

// keepOn ends what is mature by one node's chain and old enough to be on its disk, and offers the node again,
// parents first, what it has forgotten of the rest.
func (c *candidates) keepOn(ctx context.Context, n *node, taken []*pursuit) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	tip, err := n.Tip(call)
	cancel()
	if err != nil {
		return
	}
	var forgotten []*pursuit
	stands := false // a block in the node's chain was met: all that it builds on is there too
	for _, p := range slices.Backward(taken) {
		if tip.Height >= p.candidate.Height+c.opts.Chain.Params().Maturity && time.Since(time.UnixMilli(p.candidate.Time)) >= c.opts.KeepFor {
			p.mu.Lock()
			p.over = true
			p.mu.Unlock()
			c.drop(p)
			continue
		}
		if stands {
			continue
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		info, err := n.BlockInfo(call, p.candidate.Hash)
		cancel()
		switch {
		case errors.Is(err, pool.ErrNoBlock):
			forgotten = append(forgotten, p)
		case err != nil:
			return
		default:
			stands = info.Confirmations > 0
		}
	}
	for _, p := range slices.Backward(forgotten) {
		if ctx.Err() != nil {
			return
		}
		record, block, err := readRecord(c.opts.FS, c.opts.Dir+"/"+p.name())
		if err != nil {
			c.log.Error().Str(pool.EventField, pool.EventBlockRecord).Err(err).Stringer("block", p.candidate.Hash).Str("node", n.name).Msg("a node forgot a found block, and its record cannot be read")
			continue
		}
		call, cancel := context.WithTimeout(ctx, submitTimeout)
		result, reason, err := n.SubmitBlock(call, record.Candidate.Hash, block)
		cancel()
		c.log.Warn().Err(err).Stringer("block", p.candidate.Hash).Int64("height", p.candidate.Height).Str("node", n.name).Str("result", result.String()).
			Str("reason", reason).Msg("a node forgot a found block; it was offered again")
	}
}
