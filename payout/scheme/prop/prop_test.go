package prop

import (
	"slices"
	"testing"

	"github.com/adit-pool/adit/pool"
)

func TestWindowIsTheRound(t *testing.T) {
	a, b := pool.AccountID{1}, pool.AccountID{2}
	slice := func(number uint64, block bool, mine, yours uint64) *pool.Slice {
		s := &pool.Slice{Number: number, Block: block, Score: pool.WorkOf(mine + yours)}
		for _, w := range []pool.Weight{{Account: a, Score: pool.WorkOf(mine)}, {Account: b, Score: pool.WorkOf(yours)}} {
			if !w.Score.IsZero() {
				s.Weight = append(s.Weight, w)
			}
		}
		return s
	}
	for name, tt := range map[string]struct {
		slices      []*pool.Slice // newest first
		first, last uint64
		mine, yours uint64
	}{
		"closed by its block":    {[]*pool.Slice{slice(5, true, 1, 2), slice(4, false, 3, 0), slice(3, true, 50, 50), slice(2, false, 9, 9)}, 4, 5, 4, 2},
		"open":                   {[]*pool.Slice{slice(5, false, 1, 2), slice(4, true, 3, 0)}, 5, 5, 1, 2},
		"the first round":        {[]*pool.Slice{slice(2, true, 1, 0), slice(1, false, 0, 4)}, 1, 2, 1, 4},
		"two blocks at a time":   {[]*pool.Slice{slice(3, true, 0, 0), slice(2, true, 7, 7)}, 3, 3, 0, 0},
		"before the first share": {nil, 0, 0, 0, 0},
	} {
		i := 0
		w, err := Scheme{}.Window(func() (*pool.Slice, error) {
			if i == len(tt.slices) {
				return nil, nil
			}
			i++
			return tt.slices[i-1], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		sums := make(pool.Sums)
		for _, x := range tt.slices[:i] {
			if x.Number >= w.First && x.Number <= w.Last {
				if err := sums.Add(x, x.Score); err != nil {
					t.Fatal(err)
				}
			}
		}
		rest := pool.Work{}
		if w.First != 0 {
			rest = tt.slices[w.Last-w.First].Score
		}
		if w.First != tt.first || w.Last != tt.last || w.Rest != rest || sums[a].Lo != tt.mine || sums[b].Lo != tt.yours {
			t.Errorf("%s: %+v, %v", name, w, sums)
		}
	}
	split, err := Scheme{}.Split(&pool.Window{Weight: []pool.Weight{{Account: a, Score: pool.WorkOf(1)}, {Account: b, Score: pool.WorkOf(2)}}}, 100, 10_000)
	if err != nil || split.Fee != 1 || !slices.Equal(split.Credits, []pool.Credit{{Account: a, Amount: 33}, {Account: b, Amount: 66}}) {
		t.Errorf("%+v, %v", split, err)
	}
}
