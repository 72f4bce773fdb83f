package settle

import (
	"fmt"
	"maps"

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
		slice := &pool.Slice{Number: last, Score: s.fold.store.index[last-1].score}
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

// sum adds up the window of a block, as it was fixed when the block was found: whole slices, but of the
// first floor(score * rest / slice score) for each account.
func (f *sliceFile) sum(w *ledger.BlockWindow) ([]pool.Weight, error) {
	sums, err := f.stretch(w.First, w.Last, w.Rest)
	if err != nil {
		return nil, err
	}
	return sums.Weights(), nil
}

// stretch sums slices first to last, of first only rest.
func (f *sliceFile) stretch(first, last uint64, rest pool.Work) (pool.Sums, error) {
	if first == 0 || first > last || last > f.last() {
		return nil, fmt.Errorf("window of slices %d to %d, of %d", first, last, f.last())
	}
	if err := f.running.move(f, first+1, last); err != nil {
		return nil, fmt.Errorf("sum slices %d to %d: %w", first, last, err)
	}
	slice, err := f.slice(first)
	if err != nil {
		return nil, err
	}
	sums := make(pool.Sums, len(f.running.sums)+len(slice.Weight)/8)
	maps.Copy(sums, f.running.sums)
	if err := sums.Add(slice, rest); err != nil {
		return nil, fmt.Errorf("sum slices %d to %d: %w", first, last, err)
	}
	return sums, nil
}

// running is the sum of the whole slices from first to last, first being last + 1 when there are none. It
// moves from one window to the next by the slices between them: a block of a pool of many accounts is
// closed without reading thousands of slices again.
type running struct {
	first, last uint64
	sums        pool.Sums
}

// move makes it the sum of the slices from first to last.
func (r *running) move(f *sliceFile, first, last uint64) error {
	if r.sums == nil || first > r.last+1 || last+1 < r.first ||
		apart(first, r.first)+apart(last, r.last) > last+1-first {
		*r = running{first, first - 1, make(pool.Sums)}
	}
	for r.last < last {
		if err := r.add(f, r.last+1); err != nil {
			return err
		}
		r.last++
	}
	for r.first > first {
		if err := r.add(f, r.first-1); err != nil {
			return err
		}
		r.first--
	}
	for r.last > last {
		if err := r.remove(f, r.last); err != nil {
			return err
		}
		r.last--
	}
	for r.first < first {
		if err := r.remove(f, r.first); err != nil {
			return err
		}
		r.first++
	}
	return nil
}

func (r *running) add(f *sliceFile, number uint64) error {
	slice, err := f.slice(number)
	if err == nil {
		err = r.sums.Add(slice, slice.Score)
	}
	if err != nil {
		*r = running{}
	}
	return err
}

func (r *running) remove(f *sliceFile, number uint64) error {
	slice, err := f.slice(number)
	if err == nil {
		err = r.sums.Remove(slice)
	}
	if err != nil {
		*r = running{}
	}
	return err
}

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// window gives the sums of what a block found now would be split over, and of how much.
func (s *Settler) window() (total pool.Work, weights []pool.Weight, err error) {
	open := s.fold.open
	head := &pool.Slice{Number: open.number, Score: open.score}
	w, err := s.o.Scheme.Window(s.walk(head, s.fold.store.last()))
	if err != nil || w.Last == 0 {
		return pool.Work{}, nil, err
	}
	var sums pool.Sums
	rest := w.Rest
	if w.First < open.number {
		sums, err = s.fold.store.stretch(w.First, open.number-1, w.Rest)
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
