// Package scheme divides a block's reward over the accounts of a window: exact integers, nothing lost
// and nothing made by rounding. The folders below it are the schemes, one each; what they share is here.
//
// A scheme is a pure function over (window of slices, reward, fee). It reads no clock, no ledger and no
// file, so that anyone can recompute a block's credits from published data.
package scheme

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/holiman/uint256"

	"github.com/adit-pool/adit/pool"
)

// Split divides reward over w.Weight: the fee is floor(reward * feePPM / 10^6), the rest goes to the
// accounts in proportion to their scores by [Allocate]. Carry takes the rest only when no account has
// a score. Fee + Carry + sum of Credits = reward, exactly.
func Split(w *pool.Window, reward pool.Amount, feePPM uint32) (pool.Split, error) {
	fee, err := reward.MulPPM(feePPM)
	if err != nil {
		return pool.Split{}, err
	}
	credits, carry, err := Allocate(reward-fee, w.Weight)
	if err != nil {
		return pool.Split{}, err
	}
	return pool.Split{Fee: fee, Carry: carry, Credits: credits}, nil
}

// remainder is what the floor cut from one account's exact part, in units of 1/W.
type remainder struct {
	rem   pool.Work
	place int32 // in the sorted weights
}

// Allocate divides total over the weights by the method of largest remainders: each gets
// floor(total * score / W), W being the sum of the scores, and the units left over go one each to the
// largest remainders, ties to the lower account id. The credits are sorted by account, without those of
// nothing. carry is total when no account has a score, else 0. The order of weights does not matter; an
// account must not appear twice. It fails with [pool.ErrOverflow] when total is negative or W has more
// than 128 bits.
func Allocate(total pool.Amount, weights []pool.Weight) (credits []pool.Credit, carry pool.Amount, err error) {
	if total < 0 {
		return nil, 0, fmt.Errorf("divide %d: %w", int64(total), pool.ErrOverflow)
	}
	if !slices.IsSortedFunc(weights, byAccount) {
		weights = slices.Clone(weights)
		slices.SortFunc(weights, byAccount)
	}
	var sum pool.Work
	for i := range weights {
		if i > 0 && weights[i].Account == weights[i-1].Account {
			return nil, 0, fmt.Errorf("account %s is weighed twice", weights[i].Account)
		}
		if sum, err = sum.Add(weights[i].Score); err != nil {
			return nil, 0, fmt.Errorf("sum the scores of %d accounts: %w", len(weights), err)
		}
	}
	if sum.IsZero() {
		return nil, total, nil
	}

	credits = make([]pool.Credit, len(weights))
	rems := make([]remainder, 0, len(weights))
	whole := uint256.Int{sum.Lo, sum.Hi}
	factor := uint256.NewInt(uint64(total))
	var part, quo, rem uint256.Int
	left := total
	for i := range weights {
		part = uint256.Int{weights[i].Score.Lo, weights[i].Score.Hi}
		part.Mul(&part, factor) // below 2^63 * 2^128: cannot overflow
		quo.DivMod(&part, &whole, &rem)
		credits[i] = pool.Credit{Account: weights[i].Account, Amount: pool.Amount(quo.Uint64())}
		left -= credits[i].Amount
		if r := (pool.Work{Hi: rem[1], Lo: rem[0]}); !r.IsZero() {
			rems = append(rems, remainder{r, int32(i)})
		}
	}
	if left > 0 { // the remainders add up to left * W and each is below W: there are more than left
		slices.SortFunc(rems, func(a, b remainder) int {
			if c := b.rem.Cmp(a.rem); c != 0 {
				return c
			}
			return int(a.place) - int(b.place)
		})
		for _, r := range rems[:left] {
			credits[r.place].Amount++
		}
	}
	return slices.DeleteFunc(credits, func(c pool.Credit) bool { return c.Amount == 0 }), 0, nil
}

func byAccount(a, b pool.Weight) int { return bytes.Compare(a.Account[:], b.Account[:]) }
