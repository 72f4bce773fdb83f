package node

import (
	"context"
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// others are the nodes that can bear witness about a template of node i: those that are up.
func (r *Ring) others(i int) []*Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*Client
	for j := range r.states {
		if j != i && r.states[j].err() == nil {
			list = append(list, r.clients[j])
		}
	}
	return list
}

// fullCheck is the dear truth about a template, and what the other nodes say of it; settled as in compare.
func (r *Ring) fullCheck(ctx context.Context, got work, others []*Client) (settled bool, err error) {
	if err := r.clients[got.node].verify(ctx, got.template); err != nil {
		return false, err
	}
	return r.compare(ctx, got.template, others)
}

// maxApart is how far apart in seconds two templates may be for their bits to be compared: test networks
// lower them when no block has come for a while.
const maxApart = 60

// compare asks other nodes about a template. The height of its parent and, on the same tip, its bits
// follow from the chain and must be equal. Outvoted, the template is refused; with one node against one
// nobody can say who errs, and an operator is called.
func (r *Ring) compare(ctx context.Context, t *pool.Template, others []*Client) (settled bool, err error) {
	agree, differ := 1, 0
	var word string
	for _, c := range others {
		parent, err := c.BlockInfo(ctx, t.PrevHash)
		if err != nil {
			continue // it may be behind
		}
		if parent.Height != t.Height-1 {
			differ++
			word = fmt.Sprintf("height %d; by node %s the parent has height %d", t.Height, c.name, parent.Height)
			continue
		}
		if parent.Confirmations != 1 {
			continue // it is ahead, or on another branch
		}
		o, err := c.work(ctx, "")
		if err != nil || o.PrevHash != t.PrevHash || max(o.CurTime, t.CurTime)-min(o.CurTime, t.CurTime) > maxApart {
			continue
		}
		if o.Bits == t.Bits {
			agree++
			continue
		}
		differ++
		word = fmt.Sprintf("bits %08x; node %s says %08x", t.Bits, c.name, o.Bits)
	}
	switch {
	case differ > agree:
		err = fmt.Errorf("%w: outvoted: %s", ErrTemplate, word)
	case differ > 0:
		r.log.Error().Str(pool.EventField, pool.EventNodeDisagree).Str("node", t.Node).Str("template", word).Msg("nodes disagree about the next block")
	}
	return err != nil || differ == 0 && agree > 1, err
}
