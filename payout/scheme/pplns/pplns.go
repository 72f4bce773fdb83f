// Package pplns pays per last N shares: a block's reward is split over the shares of the last N blocks'
// worth of expected work, each share weighed by the difficulty of the network when its job was made.
// A share's part in a window is fixed when it is submitted, so that coming and going gains nothing
// (Rosenfeld, "Analysis of Bitcoin Pooled Mining Reward Systems", 2011, and his note of 2014 on
// retargets).
package pplns

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/adit-pool/adit/payout/scheme"
	"github.com/adit-pool/adit/pool"
)

// Scheme is PPLNS with a window of a fixed score. It is safe for concurrent use.
type Scheme struct {
	size pool.Work // floor(N * 2^64)
}

// ErrN reports an N that cannot be used.
var ErrN = errors.New("pplns_n is not a decimal number from 0.01 to 1000")

// New returns PPLNS over N blocks of expected work; n is a plain decimal number such as "2" or "2.5",
// taken exactly.
func New(n string) (*Scheme, error) {
	if len(n) > 32 || strings.Trim(n, "0123456789.") != "" {
		return nil, fmt.Errorf("%w: %.40q", ErrN, n)
	}
	r, ok := new(big.Rat).SetString(n)
	if !ok || r.Cmp(big.NewRat(1, 100)) < 0 || r.Cmp(big.NewRat(1000, 1)) > 0 {
		return nil, fmt.Errorf("%w: %.40q", ErrN, n)
	}
	size := new(big.Int).Lsh(r.Num(), 64)
	w, err := pool.WorkFromBig(size.Quo(size, r.Denom()))
	if err != nil {
		return nil, fmt.Errorf("%w: %.40q", ErrN, n)
	}
	return &Scheme{size: w}, nil
}

// ID is [pool.SchemePPLNS].
func (s *Scheme) ID() pool.SchemeID { return pool.SchemePPLNS }

// Size is the score of a full window: floor(N * 2^64).
func (s *Scheme) Size() pool.Work { return s.size }

// Window takes slices newest first until their score is N * 2^64. The oldest counts pro rata:
// floor(score * rest / slice score) for each account. When there are fewer it takes all there is.
func (s *Scheme) Window(next func() (*pool.Slice, error)) (pool.Window, error) {
	var w pool.Window
	var taken pool.Work
	for taken.Cmp(s.size) < 0 {
		slice, err := next()
		if err != nil {
			return pool.Window{}, fmt.Errorf("walk the window: %w", err)
		}
		if slice == nil {
			break
		}
		rest, err := s.size.Sub(taken)
		if err != nil {
			return pool.Window{}, err
		}
		rest = rest.Min(slice.Score)
		if w.Last == 0 {
			w.Last = slice.Number
		}
		w.First, w.Rest = slice.Number, rest
		if taken, err = taken.Add(rest); err != nil {
			return pool.Window{}, err
		}
	}
	w.Full = taken == s.size
	return w, nil
}

// Split divides reward over the window's scores; see [scheme.Split].
func (s *Scheme) Split(w *pool.Window, reward pool.Amount, feePPM uint32) (pool.Split, error) {
	return scheme.Split(w, reward, feePPM)
}
