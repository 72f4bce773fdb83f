package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// window is a block's window while it is being summed.
type window struct {
	doc *ledger.BlockDoc
	*slice.Window
}

func newWindow(doc *ledger.BlockDoc) *window {
	return &window{doc, slice.NewWindow(doc.Window.First, doc.Window.Last, doc.Window.Rest)}
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

// windows adds a slice to every window that it is in, and checks the blocks whose last slice it is.
func (r *auditor) windows(p slice.Place, s *slice.Slice) {
	r.active = append(r.active, r.begin[s.Number]...)
	delete(r.begin, s.Number)
	r.active = slices.DeleteFunc(r.active, func(w *window) bool {
		if err := w.Take(s); err != nil {
			r.problem("slices: %s: block %s: %w", p, w.doc.Hash, err)
			return true
		}
		if s.Number < w.doc.Window.Last {
			return false
		}
		if s.Reason == slice.ReasonBlock && s.Block != w.doc.Hash {
			r.problem("slices: %s: ends the window of block %s, but was closed by %s", p, w.doc.Hash, s.Block)
		}
		if err := r.block(w, p.Hash); err != nil {
			r.problem("%w", err)
		}
		return true
	})
}

// block recomputes a block's credits and its allocation file.
func (r *auditor) block(w *window, last [32]byte) error {
	doc := w.doc
	where := fmt.Sprintf("ledger: block %s at height %d", doc.Hash, doc.Height)
	scheme, err := r.o.Schemes(doc.Scheme)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if len(doc.Allocation) == 0 { // from before there were allocation files: ties went by account
		r.a.Blocks++
		split, err := scheme.Split(&pool.Window{Weight: w.Weights()}, doc.Reward(), doc.FeePPM)
		if err != nil || split.Fee != doc.Fee || split.Carry != doc.Carry || !slices.Equal(split.Credits, doc.Credits) {
			return fmt.Errorf("%s: its credits are not what the slices give (%w)", where, err)
		}
		return nil
	}
	want, credits, err := allocation.New(r.o.Pool, &r.secret, doc, last, w.Weights(), scheme)
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
	if len(doc.Scores) > 0 && (doc.Score != want.Score || !slices.Equal(doc.Scores, ledger.ScoresOf(credits, w.Weights()))) {
		return fmt.Errorf("%s: its scores are not those of the slices", where)
	}
	dir := filepath.Join(r.o.Dir, "allocations")
	path := filepath.Join(dir, allocation.Name(doc.Hash))
	raw, err := allocation.Read(dir, doc.Hash)
	if err != nil {
		return err
	}
	a, err := allocation.Parse(raw)
	if err == nil {
		err = a.Recompute(scheme)
	}
	if err == nil {
		err = a.Same(want)
	}
	if err == nil && !bytes.Equal(a.Sum, doc.Allocation) {
		err = fmt.Errorf("%w: its checksum is %x, the ledger has %x", allocation.ErrFile, []byte(a.Sum), []byte(doc.Allocation))
	}
	if err == nil && !bytes.Equal(a.Root, doc.AllocationRoot) {
		err = fmt.Errorf("%w: its root is %x, the ledger has %x", allocation.ErrFile, []byte(a.Root), []byte(doc.AllocationRoot))
	}
	if err != nil {
		return fmt.Errorf("allocation: %s: %w", path, err)
	}
	r.a.Allocations++
	return nil
}
