package edge

import "github.com/adit-pool/adit/pool"

// siblings are found blocks with the same block before them: only one can ever be in the chain. On a chain
// that is far too easy there may be thousands a second. So many are pursued at once; others wait for a place, and
// are given up when one of them all is in the chain, since none can do more than replace it. What waits is
// bounded too: then there are as many blocks on their way to the nodes, each as good as the one given up.
// Their shares count as shares like any other.
type siblings struct {
	pursued  int
	accepted bool // a node has one in its chain
	waiting  []*pursuit
	bytes    int // of their blocks
	given    int // up, counted for the log
}

const (
	// maxPursued is how many siblings are offered to the nodes at a time.
	maxPursued = 32
	// maxWaitingBytes is how much of blocks may wait; one may always.
	maxWaitingBytes = 64 << 20
	// maxTips is how many tips are remembered.
	maxTips = 16
)

// admit registers a new block and begins its pursuit, now or later; false when it is given up.
func (c *candidates) admit(p *pursuit) bool {
	c.mu.Lock()
	t := c.tip(p.candidate.PrevHash)
	switch {
	case t.pursued < maxPursued:
		t.pursued++
	case t.accepted || c.stopped || len(t.waiting) > 0 && t.bytes+len(p.block) > maxWaitingBytes:
		t.given++
		c.mu.Unlock()
		return false
	default:
		t.waiting = append(t.waiting, p)
		t.bytes += len(p.block)
		c.known[p.candidate.Hash] = p
		c.mu.Unlock()
		return true
	}
	c.known[p.candidate.Hash] = p
	c.mu.Unlock()
	c.begin(p)
	return true
}

// tip finds or begins the siblings after a block. Caller holds mu.
func (c *candidates) tip(prev pool.Hash) *siblings {
	t := c.tips[prev]
	if t == nil {
		t = &siblings{}
		c.tips[prev] = t
		c.order = append(c.order, prev)
		for i := 0; len(c.order) > maxTips && i < len(c.order)-1; {
			if old := c.tips[c.order[i]]; old.pursued > 0 || len(old.waiting) > 0 {
				i++
				continue
			}
			delete(c.tips, c.order[i])
			c.order = append(c.order[:i], c.order[i+1:]...)
		}
	}
	return t
}

// leaveTip gives the place of a pursuit that has ended to the next one that waits.
func (c *candidates) leaveTip(p *pursuit) {
	if p.resumed {
		return
	}
	p.mu.Lock()
	accepted := p.record.Result == pool.SubmitAccepted.String()
	p.mu.Unlock()
	c.mu.Lock()
	t := c.tip(p.candidate.PrevHash)
	t.pursued--
	t.accepted = t.accepted || accepted
	var next *pursuit
	if t.accepted {
		for _, w := range t.waiting {
			delete(c.known, w.candidate.Hash)
		}
		t.given += len(t.waiting)
		t.waiting, t.bytes = nil, 0
	} else if len(t.waiting) > 0 && !c.stopped {
		next = t.waiting[0]
		t.waiting = t.waiting[1:]
		t.bytes -= len(next.block)
		t.pursued++
	}
	given := 0
	if t.pursued == 0 {
		given, t.given = t.given, 0
	}
	c.mu.Unlock()
	if given > 0 {
		c.log.Warn().Str("previous", p.candidate.PrevHash.String()).Int("blocks", given).
			Msg("more blocks were found on one tip than can be of use: the others were given up")
	}
	if next != nil {
		c.begin(next)
	}
}
