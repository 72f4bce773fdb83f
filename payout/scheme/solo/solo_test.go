package solo_test

import (
	"testing"

	"github.com/adit-pool/adit/payout/scheme/solo"
	"github.com/adit-pool/adit/pool"
)

func TestSplit(t *testing.T) {
	s := solo.Scheme{}
	w, err := s.Window(func() (*pool.Slice, error) { t.Fatal("solo looked at a slice"); return nil, nil })
	if err != nil || len(w.Weight) != 0 {
		t.Fatal(w, err)
	}
	finder := pool.AccountID{1}
	w.Weight = []pool.Weight{{Account: finder, Score: pool.WorkOf(1)}}
	split, err := s.Split(&w, 1001, 10_000)
	if err != nil || split.Fee != 10 || split.Carry != 0 || len(split.Credits) != 1 || split.Credits[0] != (pool.Credit{Account: finder, Amount: 991}) {
		t.Errorf("split %+v, %v", split, err)
	}
	w.Weight = append(w.Weight, pool.Weight{Account: pool.AccountID{2}, Score: pool.WorkOf(1)})
	if _, err := s.Split(&w, 1, 0); err == nil {
		t.Error("two finders")
	}
}
