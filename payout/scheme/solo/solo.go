// Package solo pays a block to the account that found it, less the fee. The coinbase itself does so;
// the ledger posts what the block says. Solo shares never enter or end a shared window.
package solo

import (
	"fmt"

	"github.com/adit-pool/adit/payout/scheme"
	"github.com/adit-pool/adit/pool"
)

// Scheme is SOLO.
type Scheme struct{}

// ID is [pool.SchemeSOLO].
func (Scheme) ID() pool.SchemeID { return pool.SchemeSOLO }

// Window is empty: it looks at no slice. Who splits a solo block puts the finder in as the only weight,
// of any score above zero.
func (Scheme) Window(func() (*pool.Slice, error)) (pool.Window, error) { return pool.Window{}, nil }

// Split gives the finder, the window's only weight, all but the fee.
func (Scheme) Split(w *pool.Window, reward pool.Amount, feePPM uint32) (pool.Split, error) {
	if len(w.Weight) > 1 {
		return pool.Split{}, fmt.Errorf("split a solo block over %d accounts: only its finder may be paid", len(w.Weight))
	}
	return scheme.Split(w, reward, feePPM)
}
