// Package prop pays proportionally: a block's reward is split over the shares since the pool's last
// block, each weighed by the difficulty of the network when its job was made.
//
// It can be hopped: a share at the beginning of a round is worth more than one in a round that has gone
// on for long, so whoever mines only in young rounds, and elsewhere meanwhile, earns more for a hash than
// those who stay, and what he has more they have less (Rosenfeld, "Analysis of Bitcoin Pooled Mining
// Reward Systems", 2011, section 3). It is here for pools whose miners want it all the same; PPLNS has no
// such fault.
package prop

import (
	"fmt"

	"github.com/adit-pool/adit/payout/scheme"
	"github.com/adit-pool/adit/pool"
)

// Scheme is PROP.
type Scheme struct{}

// ID is [pool.SchemePROP].
func (Scheme) ID() pool.SchemeID { return pool.SchemePROP }

// Warning is what an operator who chose PROP is told at each start.
const Warning = "scheme prop can be hopped: miners who come only to young rounds earn more per hash, at the cost of those who stay; pplns cannot"

// Window takes slices newest first, as far back as the round goes: up to the slice that an earlier block
// closed, which is not in it. The newest slice is in it whatever closed it.
func (Scheme) Window(next func() (*pool.Slice, error)) (pool.Window, error) {
	w := pool.Window{Full: true}
	for {
		slice, err := next()
		if err != nil {
			return pool.Window{}, fmt.Errorf("walk the round: %w", err)
		}
		if slice == nil || slice.Block && w.Last != 0 {
			break
		}
		if w.Last == 0 {
			w.Last = slice.Number
		}
		w.First, w.Rest = slice.Number, slice.Score
	}
	return w, nil
}

// Split divides reward over the round's scores; see [scheme.Split].
func (Scheme) Split(w *pool.Window, reward pool.Amount, feePPM uint32) (pool.Split, error) {
	return scheme.Split(w, reward, feePPM)
}
