package scheme_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/payout/scheme"
	"github.com/adit-pool/adit/pool"
)

// TestNoMoneyFromRounding holds every part against its exact value: less than a unit off, all together
// exact, nothing for no work; with scores whose sum reaches 2^128 and up to two thousand accounts.
// TestMillionAccounts does it once for a million.
func TestNoMoneyFromRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "accounts")
		if rapid.IntRange(0, 20).Draw(t, "many") == 0 {
			n = 2000
		}
		bits := rapid.SampledFrom([]int{1, 8, 64, 100, 116}).Draw(t, "bits") // 2000 of 116 bits stay below 2^128
		one := genWork(bits).Draw(t, "score")
		ws := make([]pool.Weight, n)
		sum := new(big.Int)
		for i := range ws {
			score := one
			if i < 60 {
				score = genWork(bits).Draw(t, "score")
			}
			ws[i] = pool.Weight{Account: id(uint64(i)), Score: score}
			sum.Add(sum, score.Big())
		}
		total := pool.Amount(genAmount.Draw(t, "total"))
		credits, carry, err := scheme.Allocate(total, ws)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[pool.AccountID]pool.Amount, n)
		all := carry
		for _, c := range credits {
			got[c.Account] = c.Amount
			all += c.Amount
		}
		if all != total || (carry != 0) != (sum.Sign() == 0 && total != 0) {
			t.Fatalf("%d became %d, carry %d", total, all, carry)
		}
		for _, w := range ws {
			if w.Score.IsZero() && got[w.Account] != 0 {
				t.Fatalf("no work earned %d", got[w.Account])
			}
			if sum.Sign() == 0 {
				continue
			}
			// |got - total * score / sum| < 1, as |got * sum - total * score| < sum
			d := new(big.Int).Mul(big.NewInt(int64(got[w.Account])), sum)
			d.Sub(d, new(big.Int).Mul(big.NewInt(int64(total)), w.Score.Big()))
			if d.CmpAbs(sum) >= 0 {
				t.Fatalf("a part is off by a unit or more: %d for %s of %s", got[w.Account], w.Score, sum)
			}
		}
	})
}
