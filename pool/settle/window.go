package settle

import (
	"fmt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// walk hands out slices from number last down to 1, newest first, then nil. head, when not nil, comes
// before them.
func (f *sliceFile) walk(head *pool.Slice, last uint64) func() (*pool.Slice, error) {
	return func() (*pool.Slice, error) {
		if head != nil {
			s := head
			head = nil
			return s, nil
		}
		if last == 0 {
			return nil, nil
		}
		s, err := f.slice(last)
		last--
		return s, err
	}
}

// walk is the store's walk that also says where rounds ended: at slices that a block closed which was not
// orphaned, as far as is known now.
func (s *Settler) walk(head *pool.Slice, last uint64) func() (*pool.Slice, error) {
	next := s.fold.store.walk(head, last)
	return func() (*pool.Slice, error) {
		slice, err := next()
		if err != nil || slice == nil {
			return slice, err
		}
		block, closed := s.fold.closers[slice.Number]
		if !closed || slice == head {
			return slice, nil
		}
		counts, err := s.counts(block)
		if err != nil || !counts {
			return slice, err
		}
		ended := *slice
		ended.Block = true
		return &ended, nil
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

// sum adds up the window of a block, as it was fixed when the block was found: whole slices, but of the
// first floor(score * rest / slice score) for each account.
func (f *sliceFile) sum(w *ledger.BlockWindow) ([]pool.Weight, error) {
	if w.First == 0 || w.First > w.Last {
		return nil, fmt.Errorf("window of slices %d to %d", w.First, w.Last)
	}
	sums := make(map[pool.AccountID]pool.Work)
	for number := w.First; number <= w.Last; number++ {
		s, err := f.slice(number)
		if err != nil {
			return nil, err
		}
		part := number == w.First && w.Rest != s.Score
		if part && w.Rest.Cmp(s.Score) > 0 {
			return nil, fmt.Errorf("window takes %s of slice %d, which has %s", w.Rest, number, s.Score)
		}
		if err := addWeights(sums, s, part, w.Rest); err != nil {
			return nil, fmt.Errorf("sum slices %d to %d: %w", w.First, w.Last, err)
		}
	}
	return weights(sums), nil
}

// addWeights adds a slice to sums; of a part floor(score * rest / slice score) for each account.
func addWeights(sums map[pool.AccountID]pool.Work, s *pool.Slice, part bool, rest pool.Work) (err error) {
	for _, weight := range s.Weight {
		score := weight.Score
		if part {
			if score, err = score.MulDiv(rest, s.Score); err != nil {
				return fmt.Errorf("take a part of slice %d: %w", s.Number, err)
			}
		}
		if score.IsZero() {
			continue
		}
		if sums[weight.Account], err = sums[weight.Account].Add(score); err != nil {
			return fmt.Errorf("add slice %d: %w", s.Number, err)
		}
	}
	return nil
}
