package build

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/adit-pool/adit/pool"
)

// Share divides total over amounts pro rata, exactly: floor(total × amount / sum), and the units that are left
// over one each to the largest remainders, ties by place.
func Share(total pool.Amount, amounts []pool.Amount) ([]pool.Amount, error) {
	var sum pool.Amount
	for _, a := range amounts {
		var err error
		if a < 0 {
			return nil, fmt.Errorf("share over an amount of %d", a)
		}
		if sum, err = sum.Add(a); err != nil {
			return nil, err
		}
	}
	if total < 0 || sum == 0 {
		return nil, fmt.Errorf("share %d over %d", total, sum)
	}
	out, order, rests := make([]pool.Amount, len(amounts)), make([]int, len(amounts)), make([]uint64, len(amounts))
	left := total
	for i, a := range amounts {
		high, low := bits.Mul64(uint64(total), uint64(a))
		q, rest := bits.Div64(high, low, uint64(sum)) // a <= sum, so q <= total
		out[i], rests[i], order[i] = pool.Amount(q), rest, i
		left -= out[i]
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Or(-cmp.Compare(rests[x], rests[y]), cmp.Compare(x, y)) })
	for _, i := range order[:left] {
		out[i]++
	}
	return out, nil
}
