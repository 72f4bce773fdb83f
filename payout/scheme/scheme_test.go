package scheme_test

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/payout/scheme"
	"github.com/adit-pool/adit/pool"
)

func id(i uint64) (a pool.AccountID) {
	for b := range 8 {
		a[b] = byte(i >> (8 * b))
	}
	return a
}

// genWork draws work of any size up to 2^bits, small ones and ties often.
func genWork(bits int) *rapid.Generator[pool.Work] {
	return rapid.Custom(func(t *rapid.T) pool.Work {
		n := rapid.IntRange(0, bits).Draw(t, "bits")
		w := pool.Work{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")}
		v := w.Big()
		v.And(v, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(n)), big.NewInt(1)))
		w, err := pool.WorkFromBig(v)
		if err != nil {
			t.Fatal(err)
		}
		return w
	})
}

func genWeights(t *rapid.T) []pool.Weight {
	n := rapid.IntRange(0, 30).Draw(t, "accounts")
	seen := map[uint64]bool{}
	var ws []pool.Weight
	for range n {
		i := rapid.Uint64Range(0, 200).Draw(t, "account")
		if !seen[i] {
			seen[i] = true
			ws = append(ws, pool.Weight{Account: id(i), Score: genWork(120).Draw(t, "score")})
		}
	}
	return ws
}

var genAmount = rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(0, 21e14), rapid.Int64Range(0, math.MaxInt64))

// reference is the method of largest remainders written down straight, in rationals.
func reference(total pool.Amount, ws []pool.Weight) map[pool.AccountID]int64 {
	sum := new(big.Rat)
	for _, w := range ws {
		sum.Add(sum, new(big.Rat).SetInt(w.Score.Big()))
	}
	got := map[pool.AccountID]int64{}
	if sum.Sign() == 0 {
		return got
	}
	type part struct {
		id   pool.AccountID
		frac *big.Rat
	}
	var parts []part
	left := int64(total)
	for _, w := range ws {
		exact := new(big.Rat).SetInt(w.Score.Big())
		exact.Mul(exact, new(big.Rat).SetInt64(int64(total))).Quo(exact, sum)
		floor := new(big.Int).Quo(exact.Num(), exact.Denom())
		got[w.Account] = floor.Int64()
		left -= floor.Int64()
		parts = append(parts, part{w.Account, exact.Sub(exact, new(big.Rat).SetInt(floor))})
	}
	sort.Slice(parts, func(i, j int) bool {
		if c := parts[i].frac.Cmp(parts[j].frac); c != 0 {
			return c > 0
		}
		return bytes.Compare(parts[i].id[:], parts[j].id[:]) < 0
	})
	for i := range left {
		got[parts[i].id]++
	}
	return got
}

func TestAllocateAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, ws := pool.Amount(genAmount.Draw(t, "total")), genWeights(t)
		credits, carry, err := scheme.Allocate(total, ws)
		if err != nil {
			t.Fatal(err)
		}
		want := reference(total, ws)
		sum := carry
		for i, c := range credits {
			if i > 0 && bytes.Compare(credits[i-1].Account[:], c.Account[:]) >= 0 {
				t.Fatal("credits are not sorted by account")
			}
			if c.Amount <= 0 || int64(c.Amount) != want[c.Account] {
				t.Fatalf("account %s gets %d, the reference says %d", c.Account, c.Amount, want[c.Account])
			}
			delete(want, c.Account)
			sum += c.Amount
		}
		for account, amount := range want {
			if amount != 0 {
				t.Fatalf("account %s gets nothing, the reference says %d", account, amount)
			}
		}
		if sum != total {
			t.Fatalf("%d became %d", total, sum)
		}
		if carry != 0 && len(credits) != 0 {
			t.Fatalf("carry %d although accounts were paid", carry)
		}

		shuffled := slices.Clone(ws)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Shuffle(len(ws), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, _, err := scheme.Allocate(total, shuffled)
		if err != nil || !slices.Equal(again, credits) {
			t.Fatalf("another order gives %v, %v", again, err)
		}
		double := slices.Clone(ws)
		for i := range double {
			if double[i].Score, err = double[i].Score.Add(double[i].Score); err != nil {
				t.Fatal(err)
			}
		}
		if again, _, err = scheme.Allocate(total, double); err != nil || !slices.Equal(again, credits) {
			t.Fatalf("twice all work gives %v, %v", again, err)
		}
	})
}

// More work never earns its owner less, nor any other account more than its exact part rounded up; a
// higher fee never earns the miners more. (That another account's exact part is rounded up where it was
// rounded down before cannot be had away with sums that are exact: Balinski and Young's theorem.)
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := genWeights(t)
		if len(ws) == 0 {
			return
		}
		total := pool.Amount(genAmount.Draw(t, "total"))
		get := func(ws []pool.Weight) map[pool.AccountID]pool.Amount {
			credits, _, err := scheme.Allocate(total, ws)
			if err != nil {
				t.Fatal(err)
			}
			m := map[pool.AccountID]pool.Amount{}
			for _, c := range credits {
				m[c.Account] = c.Amount
			}
			return m
		}
		before := get(ws)
		who := rapid.IntRange(0, len(ws)-1).Draw(t, "who")
		more := slices.Clone(ws)
		var err error
		if more[who].Score, err = more[who].Score.Add(genWork(100).Draw(t, "more")); err != nil {
			t.Fatal(err)
		}
		after := get(more)
		had := false
		for _, w := range ws {
			had = had || !w.Score.IsZero()
		}
		for i, w := range ws {
			switch {
			case i == who && after[w.Account] < before[w.Account]:
				t.Fatalf("more work earned %d instead of %d", after[w.Account], before[w.Account])
			case i != who && had && after[w.Account]-before[w.Account] > 1:
				t.Fatalf("another's work earned %s %d instead of %d", w.Account, after[w.Account], before[w.Account])
			}
		}

		low := rapid.Uint32Range(0, 1_000_000).Draw(t, "low")
		high := rapid.Uint32Range(low, 1_000_000).Draw(t, "high")
		miners := func(ppm uint32) (sum pool.Amount) {
			s, err := scheme.Split(&pool.Window{Weight: ws}, total, ppm)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range s.Credits {
				sum += c.Amount
			}
			if s.Fee+s.Carry+sum != total {
				t.Fatalf("%d + %d + %d is not %d", s.Fee, s.Carry, sum, total)
			}
			return sum
		}
		if miners(high) > miners(low) {
			t.Fatal("a higher fee earned the miners more")
		}
	})
}

func weigh(a pool.AccountID, score pool.Work) pool.Weight {
	return pool.Weight{Account: a, Score: score}
}

func pay(a pool.AccountID, amount pool.Amount) pool.Credit {
	return pool.Credit{Account: a, Amount: amount}
}

func TestAllocateByHand(t *testing.T) {
	a, b, c := id(1), id(2), id(3)
	one := pool.WorkOf(1)
	for name, tt := range map[string]struct {
		total   pool.Amount
		ws      []pool.Weight
		credits []pool.Credit
		carry   pool.Amount
	}{
		"two equal, odd": {3, []pool.Weight{weigh(b, one), weigh(a, one)}, []pool.Credit{pay(a, 2), pay(b, 1)}, 0},
		"thirds":         {11, []pool.Weight{weigh(a, one), weigh(b, one), weigh(c, one)}, []pool.Credit{pay(a, 4), pay(b, 4), pay(c, 3)}, 0},
		"less than one":  {1, []pool.Weight{weigh(a, one), weigh(b, pool.WorkOf(2))}, []pool.Credit{pay(b, 1)}, 0},
		"nobody":         {7, nil, nil, 7},
		"only zeros":     {7, []pool.Weight{weigh(a, pool.Work{})}, nil, 7},
		"nothing":        {0, []pool.Weight{weigh(a, one)}, []pool.Credit{}, 0},
	} {
		credits, carry, err := scheme.Allocate(tt.total, tt.ws)
		if err != nil || !slices.Equal(credits, tt.credits) || carry != tt.carry {
			t.Errorf("%s: %v, %d, %v", name, credits, carry, err)
		}
	}
	if _, _, err := scheme.Allocate(-1, nil); !errors.Is(err, pool.ErrOverflow) {
		t.Errorf("negative: %v", err)
	}
	big := pool.Work{Hi: math.MaxUint64}
	if _, _, err := scheme.Allocate(1, []pool.Weight{weigh(a, big), weigh(b, big)}); !errors.Is(err, pool.ErrOverflow) {
		t.Errorf("sum above 128 bits: %v", err)
	}
	if _, _, err := scheme.Allocate(1, []pool.Weight{weigh(a, one), weigh(a, one)}); err == nil {
		t.Error("an account twice")
	}
	if _, err := scheme.Split(&pool.Window{}, 1, 1_000_001); err == nil {
		t.Error("a fee above everything")
	}
}

func TestMillionAccounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ws := make([]pool.Weight, 1_000_000)
	for i := range ws {
		ws[i] = pool.Weight{Account: id(uint64(i)), Score: pool.Work{Hi: r.Uint64() >> 20, Lo: r.Uint64()}}
	}
	start := time.Now()
	credits, carry, err := scheme.Allocate(21e14, ws)
	if err != nil || carry != 0 {
		t.Fatal(carry, err)
	}
	t.Logf("a million accounts in %v", time.Since(start))
	var sum pool.Amount
	for _, c := range credits {
		sum += c.Amount
	}
	if sum != 21e14 {
		t.Errorf("sum %d", sum)
	}
}
