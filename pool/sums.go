package pool

import (
	"bytes"
	"fmt"
	"slices"
)

// Sums adds up slices by account. It never holds a sum of zero.
type Sums map[AccountID]Work

// Add adds rest of a slice's score: floor(score * rest / slice score) for each account, all of it when
// rest is the whole. After an error the sums are of no use.
func (s Sums) Add(slice *Slice, rest Work) error {
	part := rest != slice.Score
	if part && rest.Cmp(slice.Score) > 0 {
		return fmt.Errorf("take %s of slice %d, which has %s", rest, slice.Number, slice.Score)
	}
	for i := range slice.Weight {
		w := &slice.Weight[i]
		score := w.Score
		var err error
		if part {
			if score, err = score.MulDiv(rest, slice.Score); err != nil {
				return fmt.Errorf("take a part of slice %d: %w", slice.Number, err)
			}
		}
		if score.IsZero() {
			continue
		}
		if s[w.Account], err = s[w.Account].Add(score); err != nil {
			return fmt.Errorf("add slice %d: %w", slice.Number, err)
		}
	}
	return nil
}

// Remove takes back a slice that was added whole. After an error the sums are of no use.
func (s Sums) Remove(slice *Slice) error {
	for i := range slice.Weight {
		w := &slice.Weight[i]
		left, err := s[w.Account].Sub(w.Score)
		if err != nil {
			return fmt.Errorf("remove slice %d: %w", slice.Number, err)
		}
		if left.IsZero() {
			delete(s, w.Account)
			continue
		}
		s[w.Account] = left
	}
	return nil
}

// Weights lists the sums, sorted by account.
func (s Sums) Weights() []Weight {
	out := make([]Weight, 0, len(s))
	for account, score := range s {
		out = append(out, Weight{Account: account, Score: score})
	}
	slices.SortFunc(out, func(a, b Weight) int { return bytes.Compare(a.Account[:], b.Account[:]) })
	return out
}
