package pplns_test

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/payout/scheme/pplns"
	"github.com/adit-pool/adit/pool"
)

func newScheme(t interface{ Fatal(...any) }, n string) *pplns.Scheme {
	s, err := pplns.New(n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestN(t *testing.T) {
	for n, want := range map[string]string{
		"1": "18446744073709551616", "2": "36893488147419103232", "2.5": "46116860184273879040",
		"0.1": "1844674407370955161", "1000": "18446744073709551616000",
	} {
		if got := newScheme(t, n).Size().String(); got != want {
			t.Errorf("N = %s: window %s, want %s", n, got, want)
		}
	}
	for _, n := range []string{"", "0", "-1", "+2", "1e3", "2/3", "0x2", "1001", "0.001", "2.5.1", ".", "NaN", "2,5", " 2"} {
		if _, err := pplns.New(n); !errors.Is(err, pplns.ErrN) {
			t.Errorf("N = %q: %v", n, err)
		}
	}
}

func id(i int) (a pool.AccountID) { a[19] = byte(i); return a }

// walker hands out slices newest first and counts.
func walker(slices []pool.Slice, asked *int) func() (*pool.Slice, error) {
	i := len(slices)
	return func() (*pool.Slice, error) {
		*asked++
		if i == 0 {
			return nil, nil
		}
		i--
		return &slices[i], nil
	}
}

// sumUp gives a window its weights.
func sumUp(t interface{ Fatal(...any) }, w *pool.Window, all []pool.Slice) {
	sums := make(pool.Sums)
	for i := range all {
		if slice := &all[i]; slice.Number >= w.First && slice.Number <= w.Last {
			rest := slice.Score
			if slice.Number == w.First {
				rest = w.Rest
			}
			if err := sums.Add(slice, rest); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Weight, w.Score = sums.Weights(), pool.Work{}
	for _, x := range w.Weight {
		var err error
		if w.Score, err = w.Score.Add(x.Score); err != nil {
			t.Fatal(err)
		}
	}
}

// The window equals a straight walk in rationals with the same floor for each account of the oldest
// slice.
func TestWindowAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]string{"0.01", "0.5", "1", "2.5"}).Draw(t, "n")
		s := newScheme(t, n)
		r, _ := new(big.Rat).SetString(n)
		size := new(big.Int).Quo(new(big.Int).Lsh(r.Num(), 64), r.Denom())

		var all []pool.Slice
		for number := range rapid.IntRange(0, 12).Draw(t, "slices") {
			slice := pool.Slice{Number: uint64(number + 1)}
			shift := rapid.IntRange(0, 12).Draw(t, "shift")
			for account := range 5 {
				if score := rapid.Uint64().Draw(t, "score") >> shift; rapid.Bool().Draw(t, "there") {
					slice.Weight = append(slice.Weight, pool.Weight{Account: id(account), Score: pool.WorkOf(score)})
					var err error
					if slice.Score, err = slice.Score.Add(pool.WorkOf(score)); err != nil {
						t.Fatal(err)
					}
				}
			}
			all = append(all, slice)
		}

		want := map[pool.AccountID]*big.Int{}
		left := new(big.Int).Set(size)
		first := uint64(0)
		for i := len(all) - 1; i >= 0 && left.Sign() > 0; i-- {
			total := all[i].Score.Big()
			rest := total
			if left.Cmp(total) < 0 {
				rest = new(big.Int).Set(left)
			}
			for _, w := range all[i].Weight {
				part := new(big.Int)
				if total.Sign() > 0 {
					exact := new(big.Rat).SetFrac(new(big.Int).Mul(w.Score.Big(), rest), total)
					part.Quo(exact.Num(), exact.Denom())
				}
				if want[w.Account] == nil {
					want[w.Account] = new(big.Int)
				}
				want[w.Account].Add(want[w.Account], part)
			}
			left.Sub(left, rest)
			first = all[i].Number
		}

		asked := 0
		w, err := s.Window(walker(all, &asked))
		if err != nil {
			t.Fatal(err)
		}
		sumUp(t, &w, all)
		if w.Full != (left.Sign() == 0) || w.First != first || (len(all) > 0 && w.Last != all[len(all)-1].Number) {
			t.Fatalf("window %d..%d full %v", w.First, w.Last, w.Full)
		}
		if w.Full && asked != int(w.Last-w.First)+1 {
			t.Fatalf("asked for %d slices, took %d", asked, w.Last-w.First+1)
		}
		sum := new(big.Int)
		for i, x := range w.Weight {
			if i > 0 && string(w.Weight[i-1].Account[:]) >= string(x.Account[:]) {
				t.Fatal("weights are not sorted")
			}
			if x.Score.IsZero() || want[x.Account].Cmp(x.Score.Big()) != 0 {
				t.Fatalf("account %s has %s, the reference says %s", x.Account, x.Score, want[x.Account])
			}
			sum.Add(sum, x.Score.Big())
			delete(want, x.Account)
		}
		for account, v := range want {
			if v.Sign() != 0 {
				t.Fatalf("account %s is missing, the reference says %s", account, v)
			}
		}
		if w.Score.Big().Cmp(sum) != 0 || sum.Cmp(size) > 0 {
			t.Fatalf("score %s, sum %s, size %s", w.Score, sum, size)
		}
	})
}

func TestWindowEnds(t *testing.T) {
	s := newScheme(t, "1")
	whole := pool.Work{Hi: 1}
	half := pool.WorkOf(1 << 63)
	one := func(n uint64, account int, score pool.Work) pool.Slice {
		return pool.Slice{Number: n, Score: score, Weight: []pool.Weight{{Account: id(account), Score: score}}}
	}
	asked := 0
	chain := []pool.Slice{one(1, 1, whole), one(2, 2, whole)}
	w, err := s.Window(walker(chain, &asked))
	sumUp(t, &w, chain)
	if err != nil || !w.Full || w.First != 2 || w.Rest != whole || len(w.Weight) != 1 || asked != 1 {
		t.Errorf("a slice that fits exactly: %+v, %v, asked %d", w, err, asked)
	}
	chain = []pool.Slice{one(1, 1, whole), {Number: 2}, one(3, 2, half)}
	w, err = s.Window(walker(chain, &asked))
	sumUp(t, &w, chain)
	if err != nil || !w.Full || w.First != 1 || w.Last != 3 || w.Rest != half || w.Score != whole {
		t.Errorf("pro rata: %+v, %v", w, err)
	}
	chain = []pool.Slice{one(1, 1, half)}
	w, err = s.Window(walker(chain, &asked))
	sumUp(t, &w, chain)
	if err != nil || w.Full || w.Rest != half || w.Score != half {
		t.Errorf("not full: %+v, %v", w, err)
	}
	if split, err := s.Split(&w, 1000, 15_000); err != nil || split.Fee != 15 || split.Carry != 0 || split.Credits[0].Amount != 985 {
		t.Errorf("a window that is not full pays all: %+v, %v", split, err)
	}
	w, err = s.Window(walker(nil, &asked))
	if err != nil || w.Last != 0 {
		t.Errorf("nothing: %+v, %v", w, err)
	}
	if split, err := s.Split(&w, 1000, 0); err != nil || split.Carry != 1000 {
		t.Errorf("nobody to pay: %+v, %v", split, err)
	}
	lost := errors.New("disk")
	if _, err := s.Window(func() (*pool.Slice, error) { return nil, lost }); !errors.Is(err, lost) {
		t.Errorf("unreadable slice: %v", err)
	}
}
