package edge

import (
	"context"
	"errors"
	"time"

	"github.com/adit-pool/adit/pool"
)

// keep watches over blocks that a node has taken, until they are mature: a node that is killed can forget
// what it had not on disk yet, and the others may never have heard of it. Then the block is offered again.
func (c *candidates) keep(ctx context.Context) {
	tick := time.NewTicker(c.opts.KeepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, p := range c.taken() {
			if ctx.Err() != nil {
				return
			}
			c.keepOne(ctx, p)
		}
	}
}

// taken lists the blocks that nodes have answered for and that may still be forgotten.
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
	return out
}

// mayReturn reports that the chain may come to have the block, or lose it. p.mu is held.
func (p *pursuit) mayReturn() bool {
	return !p.over && (p.record.Result == pool.SubmitAccepted.String() || p.record.Result == pool.SubmitSideChain.String())
}

// keepOne looks whether a block is mature, and else whether each node still knows it.
func (c *candidates) keepOne(ctx context.Context, p *pursuit) {
	hash := p.candidate.Hash
	for _, n := range c.nodes {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		tip, err := n.Tip(call)
		if err == nil && tip.Height >= p.candidate.Height+c.opts.Chain.Params().Maturity {
			cancel()
			p.mu.Lock()
			p.over = true
			p.mu.Unlock()
			c.drop(p)
			return
		}
		if err == nil {
			_, err = n.BlockInfo(call, hash)
		}
		cancel()
		if !errors.Is(err, pool.ErrNoBlock) {
			continue // it knows the block, or does not answer
		}
		record, block, err := readRecord(c.opts.FS, c.opts.Dir+"/"+p.name())
		if err != nil {
			c.log.Error().Err(err).Stringer("block", hash).Str("node", n.name).Msg("a node forgot a found block, and its record cannot be read")
			return
		}
		call, cancel = context.WithTimeout(ctx, submitTimeout)
		result, reason, err := n.SubmitBlock(call, record.Candidate.Hash, block)
		cancel()
		c.log.Warn().Err(err).Stringer("block", hash).Int64("height", p.candidate.Height).Str("node", n.name).Str("result", result.String()).
			Str("reason", reason).Msg("a node forgot a found block; it was offered again")
	}
}
