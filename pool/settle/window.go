package settle

import (
	"fmt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// walk hands out slices for a scheme to choose from, number last down to 1, newest first, then nil: their
// scores, and whether they ended a round, as far as is known now: a block closed them which was not
// orphaned. head, when not nil, comes before them.
func (s *Settler) walk(head *pool.Slice, last uint64) func() (*pool.Slice, error) {
	return func() (*pool.Slice, error) {
		if head != nil {
			first := head
			head = nil
			return first, nil
		}
		if last == 0 {
			return nil, nil
		}
		slice := &pool.Slice{Number: last, Score: s.fold.store.Score(last)}
		last--
		if block, closed := s.fold.closers[slice.Number]; closed {
			var err error
			if slice.Block, err = s.counts(block); err != nil {
				return nil, err
			}
		}
		return slice, nil
	}
}

// counts reports whether a block ended its round. One that is only just being entered does.
func (s *Settler) counts(block pool.Hash) (bool, error) {
	if b := s.blocks[block]; b != nil {
		return b.state != ledger.BlockOrphaned && b.state != ledger.BlockRejected, nil
	}
	var doc ledger.BlockDoc
	if _, err := ledger.Decode(s.o.Book, ledger.SetBlocks, block.String(), &doc); err != nil {
		return false, err
	}
	return doc.State != ledger.BlockOrphaned && doc.State != ledger.BlockRejected, nil
}

// window gives the sums of what a block found now would be split over, and of how much.
func (s *Settler) window() (total pool.Work, weights []pool.Weight, err error) {
	open := s.fold.open
	head := &pool.Slice{Number: open.number, Score: open.score}
	w, err := s.o.Scheme.Window(s.walk(head, s.fold.store.Last()))
	if err != nil || w.Last == 0 {
		return pool.Work{}, nil, err
	}
	var sums pool.Sums
	rest := w.Rest
	if w.First < open.number {
		sums, err = s.fold.store.Sum(w.First, open.number-1, w.Rest)
		rest = open.score
	} else {
		sums = make(pool.Sums, len(open.sums))
	}
	if err == nil {
		head.Weight = open.sums.Weights()
		err = sums.Add(head, rest)
	}
	if err != nil {
		return pool.Work{}, nil, err
	}
	weights = sums.Weights()
	for i := range weights {
		if total, err = total.Add(weights[i].Score); err != nil {
			return pool.Work{}, nil, fmt.Errorf("sum the window: %w", err)
		}
	}
	return total, weights, nil
}
