package edge

import (
	"context"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

const (
	submitTimeout = 30 * time.Second
	resubmitFirst = 50 * time.Millisecond
	resubmitLimit = 10 * time.Second
	// settleDepth is how many blocks on top of another one's height end the hope of a side chain.
	settleDepth = 6
	// abandonDepth is how many end the hope of a block that no node answers for.
	abandonDepth = 100
)

// gaveUp is the result of a block that the nodes never answered for.
const gaveUp = "gave up"

// submit offers the block to every node at once and returns when all have answered for good or nothing
// more may be begun.
func (c *candidates) submit(p *pursuit) {
	p.mu.Lock()
	done := p.record.Result != ""
	if !done {
		p.record.Nodes = make([]nodeAnswer, len(c.nodes))
		for i := range c.nodes {
			p.record.Nodes[i].Name = c.nodes[i].name
		}
	}
	p.mu.Unlock()
	if done {
		return
	}
	var wg sync.WaitGroup
	for i := range c.nodes {
		wg.Go(func() { c.offer(p, i) })
	}
	wg.Wait()
}

// offer hands the block to one node until it has answered for good, or another has accepted it.
func (c *candidates) offer(p *pursuit, i int) {
	n, life, timeout := c.nodes[i], c.life, submitTimeout
	if p.late { // once, in the caller's time
		life, timeout = context.Background(), c.opts.StopGrace
	}
	for attempt := 0; ; attempt++ {
		ctx, cancel := context.WithTimeout(life, timeout)
		result, reason, err := n.SubmitBlock(ctx, p.candidate.Hash, p.block)
		cancel()
		if err != nil {
			result, reason = pool.SubmitUnknown, err.Error()
		}
		final := result == pool.SubmitAccepted || result == pool.SubmitRejected || c.buried(p, n, result)
		changed, accepted := p.answer(i, result, reason, final)
		if changed {
			c.log.Info().Str("block", p.candidate.Hash.String()).Str("node", n.name).Str("result", result.String()).
				Str("reason", reason).Int("attempt", attempt+1).Msg("block submitted")
		}
		if final || accepted || !pause(c.quit, attempt, resubmitFirst, resubmitLimit) {
			return
		}
	}
}

// buried reports that the chain has grown too far over the block for its result to change.
func (c *candidates) buried(p *pursuit, n node, result pool.SubmitResult) bool {
	depth := int64(settleDepth)
	switch result {
	case pool.SubmitAccepted, pool.SubmitRejected:
		return false
	case pool.SubmitUnknown:
		depth = abandonDepth
	}
	ctx, cancel := context.WithTimeout(c.life, callTimeout)
	defer cancel()
	tip, err := n.Tip(ctx)
	return err == nil && tip.Height >= p.candidate.Height+depth
}

// answer notes what node i said; accepted is whether any node has the block in its chain.
func (p *pursuit) answer(i int, result pool.SubmitResult, reason string, final bool) (changed, accepted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &p.record.Nodes[i]
	changed = a.Attempts == 0 || a.result != result || a.Reason != reason
	a.result, a.Result, a.Reason, a.final = result, result.String(), reason, final
	a.Attempts++
	for i := range p.record.Nodes {
		accepted = accepted || p.record.Nodes[i].result == pool.SubmitAccepted
	}
	return changed, accepted
}

// conclude writes down the result once it cannot change any more.
func (c *candidates) conclude(p *pursuit) {
	p.mu.Lock()
	concluded := ""
	if p.record.Result == "" {
		p.record.Result = verdict(p.record.Nodes)
		concluded = p.record.Result
		switch p.record.Result {
		case "":
		case pool.SubmitAccepted.String():
			c.log.Info().Str("block", p.candidate.Hash.String()).Int64("height", p.candidate.Height).Msg("block accepted")
		case pool.SubmitSideChain.String():
			c.log.Warn().Str("block", p.candidate.Hash.String()).Int64("height", p.candidate.Height).Msg("block is on a side chain")
		default:
			c.log.Error().Str(pool.EventField, pool.EventBlockLost).Str("block", p.candidate.Hash.String()).Int64("height", p.candidate.Height).Interface("nodes", p.record.Nodes).
				Msg("found block is lost: no node takes it")
		}
	}
	p.mu.Unlock()
	if concluded != "" {
		c.mu.Lock()
		c.results[concluded]++
		c.mu.Unlock()
	}
	c.save(p, nil)
	p.block = nil
	c.drop(p)
}

// verdict is the result for the whole: accepted when one node has the block in its chain; else what all
// nodes together leave possible, "" while one of them may still change its mind.
func verdict(nodes []nodeAnswer) string {
	result, final := gaveUp, len(nodes) > 0
	rejected := 0
	for i := range nodes {
		a := &nodes[i]
		final = final && a.final
		switch a.result {
		case pool.SubmitAccepted:
			return pool.SubmitAccepted.String()
		case pool.SubmitSideChain:
			result = pool.SubmitSideChain.String()
		case pool.SubmitRejected:
			rejected++
		}
	}
	if !final {
		return ""
	}
	if rejected == len(nodes) {
		return pool.SubmitRejected.String()
	}
	return result
}
