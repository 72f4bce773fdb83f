package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/adit-pool/adit/pool"
)

// errMoved reports that the chain changed while it was being read; the next look finds it at rest.
var errMoved = errors.New("chain moved while it was being read")

// chainView is the end of the active chain as the node last showed it: cheap to ask, one call a new
// block to keep up. It is not safe for concurrent use.
type chainView struct {
	node   pool.Node
	hashes map[int64]pool.Hash
	seen   map[int64]time.Time // when the block at a height became active, as we saw it
	low    int64               // lowest height held, when hashes is not empty
	tip    pool.Tip
}

func newChainView(node pool.Node) *chainView {
	return &chainView{node: node, hashes: make(map[int64]pool.Hash), seen: make(map[int64]time.Time)}
}

// update follows the chain from its tip, as just read, down to height low. changed is the lowest height
// at which another block was held before, tip+1 when there is none.
func (v *chainView) update(ctx context.Context, tip pool.Tip, low int64, now time.Time) (changed int64, err error) {
	low = max(min(low, tip.Height), 0)
	if len(v.hashes) > 0 && v.tip == tip && low >= v.low {
		v.prune(low)
		return tip.Height + 1, nil
	}
	fresh := map[int64]pool.Hash{tip.Height: tip.Hash}
	for h := tip.Height; h >= low; h-- {
		hash := tip.Hash
		if h != tip.Height {
			if hash, err = v.node.BlockHash(ctx, h); err != nil {
				return 0, fmt.Errorf("read the block at height %d: %w", h, err)
			}
		}
		if v.hashes[h] == hash { // and so is all below, as far as we have it
			h = v.low
			continue
		}
		fresh[h] = hash
	}
	if hash, err := v.node.BlockHash(ctx, tip.Height); err != nil || hash != tip.Hash {
		return 0, errors.Join(errMoved, err)
	}
	changed = tip.Height + 1
	for h, hash := range fresh {
		before, held := v.hashes[h]
		if held && before != hash {
			changed = min(changed, h)
		}
		if before != hash {
			v.hashes[h], v.seen[h] = hash, now
		}
	}
	for h := range v.hashes {
		if h > tip.Height {
			delete(v.hashes, h)
			delete(v.seen, h)
			changed = min(changed, h)
		}
	}
	if len(v.hashes) == len(fresh) || low < v.low {
		v.low = low
	}
	v.tip = tip
	v.prune(low)
	return changed, nil
}

// prune forgets what lies below low.
func (v *chainView) prune(low int64) {
	for ; v.low < low; v.low++ {
		delete(v.hashes, v.low)
		delete(v.seen, v.low)
	}
}

// reset forgets everything; the next update reads it anew.
func (v *chainView) reset() {
	clear(v.hashes)
	clear(v.seen)
	v.tip, v.low = pool.Tip{}, 0
}

// at is the active block at a height; false above the tip and below what is held.
func (v *chainView) at(height int64) (pool.Hash, bool) {
	h, ok := v.hashes[height]
	return h, ok
}

// confirmations of the active block at a height: 1 for the tip.
func (v *chainView) confirmations(height int64) int64 { return v.tip.Height - height + 1 }
