package settle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// windowSum is a block's window while it is being summed.
type windowSum struct {
	doc  *ledger.BlockDoc
	sums pool.Sums
}

func decodeBlock(e *ledger.Entry) (*ledger.BlockDoc, error) {
	var doc ledger.BlockDoc
	if err := json.Unmarshal(e.Body, &doc); err != nil {
		return nil, fmt.Errorf("read the document of a block: %w", err)
	}
	if doc.Hash.String() != e.Subject.ID {
		return nil, fmt.Errorf("document of block %s has the name %s", doc.Hash, e.Subject.ID)
	}
	return &doc, nil
}

// add takes a slice into the window.
func (w *windowSum) add(s *Slice) error {
	rest := s.Score
	if s.Number == w.doc.Window.First {
		rest = w.doc.Window.Rest
	}
	return w.sums.Add(&s.Slice, rest)
}

// windows adds a slice to every window that it is in, and checks the blocks whose last slice it is.
func (r *auditor) windows(p SlicePlace, s *Slice) {
	r.active = append(r.active, r.begin[s.Number]...)
	delete(r.begin, s.Number)
	r.active = slices.DeleteFunc(r.active, func(w *windowSum) bool {
		if err := w.add(s); err != nil {
			r.problem("slices: %s: block %s: %w", p, w.doc.Hash, err)
			return true
		}
		if s.Number < w.doc.Window.Last {
			return false
		}
		if s.Reason == ReasonBlock && s.Block != w.doc.Hash {
			r.problem("slices: %s: ends the window of block %s, but was closed by %s", p, w.doc.Hash, s.Block)
		}
		if err := r.block(w, p.Hash); err != nil {
			r.problem("%w", err)
		}
		return true
	})
}

// block recomputes a block's credits and its allocation file.
func (r *auditor) block(w *windowSum, slice [32]byte) error {
	doc := w.doc
	where := fmt.Sprintf("ledger: block %s at height %d", doc.Hash, doc.Height)
	scheme, err := r.o.Schemes(doc.Scheme)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if len(doc.Allocation) == 0 { // from before there were allocation files: ties went by account
		r.a.Blocks++
		split, err := scheme.Split(&pool.Window{Weight: w.sums.Weights()}, doc.Value, doc.FeePPM)
		if err != nil || split.Fee != doc.Fee || split.Carry != doc.Carry || !slices.Equal(split.Credits, doc.Credits) {
			return fmt.Errorf("%s: its credits are not what the slices give (%w)", where, err)
		}
		return nil
	}
	want, credits, err := allocate(r.o.Pool, &r.secret, doc, slice, w.sums.Weights(), scheme)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	r.a.Blocks++
	if doc.Fee != want.Fee || doc.Carry != want.Carry {
		return fmt.Errorf("%s: fee %d and carry %d, recomputed from the slices %d and %d", where, doc.Fee, doc.Carry, want.Fee, want.Carry)
	}
	for i := range max(len(credits), len(doc.Credits)) {
		if i >= len(credits) || i >= len(doc.Credits) || credits[i] != doc.Credits[i] {
			return fmt.Errorf("%s: credit %d of %d is not what the slices give", where, i+1, len(doc.Credits))
		}
	}
	dir := filepath.Join(r.o.Dir, "allocations")
	path := filepath.Join(dir, allocationName(doc.Hash))
	raw, err := AllocationFile(dir, doc.Hash)
	if err != nil {
		return err
	}
	a, err := ParseAllocation(raw)
	if err == nil {
		err = a.Recompute(scheme)
	}
	if err == nil {
		err = a.same(want)
	}
	if err == nil && !bytes.Equal(a.Sum, doc.Allocation) {
		err = fmt.Errorf("%w: its checksum is %x, the ledger has %x", ErrAllocation, []byte(a.Sum), []byte(doc.Allocation))
	}
	if err != nil {
		return fmt.Errorf("allocation: %s: %w", path, err)
	}
	r.a.Allocations++
	return nil
}
