package slice

import (
	"fmt"
	"maps"

	"github.com/adit-pool/adit/pool"
)

// Window adds up a stretch of slices as they are read: whole ones, but of the first only Rest.
type Window struct {
	First, Last uint64    // slice numbers, inclusive
	Rest        pool.Work // score taken from slice First
	pool.Sums
}

// NewWindow begins an empty sum.
func NewWindow(first, last uint64, rest pool.Work) *Window {
	return &Window{first, last, rest, make(pool.Sums)}
}

// Take adds the window's next slice, oldest first.
func (w *Window) Take(s *Slice) error {
	rest := s.Score
	if s.Number == w.First {
		rest = w.Rest
	}
	return w.Add(&s.Slice, rest)
}

// Sum adds up slices first to last, of first only rest: floor(score * rest / slice score) for each account.
func (f *Log) Sum(first, last uint64, rest pool.Work) (pool.Sums, error) {
	if first == 0 || first > last || last > f.Last() {
		return nil, fmt.Errorf("window of slices %d to %d, of %d", first, last, f.Last())
	}
	if err := f.running.move(f, first+1, last); err != nil {
		return nil, fmt.Errorf("sum slices %d to %d: %w", first, last, err)
	}
	slice, err := f.Slice(first)
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
func (r *running) move(f *Log, first, last uint64) error {
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

func (r *running) add(f *Log, number uint64) error {
	slice, err := f.Slice(number)
	if err == nil {
		err = r.sums.Add(slice, slice.Score)
	}
	if err != nil {
		*r = running{}
	}
	return err
}

func (r *running) remove(f *Log, number uint64) error {
	slice, err := f.Slice(number)
	if err == nil {
		err = r.sums.Remove(slice)
	}
	if err != nil {
		*r = running{}
	}
	return err
}

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }
