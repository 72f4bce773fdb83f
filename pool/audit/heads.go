package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/merkle"
	"github.com/adit-pool/adit/pool/slice"
)

// headsCheck is the part of an audit that looks at signed heads.
type headsCheck struct {
	key    []byte                         // public, when the directory or the caller has it
	leaves map[pool.Hash]ledger.BlockLeaf // as of the entry being read
	slices map[uint64][]*ledger.SignedHead
	chain  merkle.Frontier[struct{}]
}

// signed compares with a signed head that was kept, and finds the key that heads are to be signed with.
func (r *auditor) signed() {
	r.heads = headsCheck{leaves: make(map[pool.Hash]ledger.BlockLeaf), slices: make(map[uint64][]*ledger.SignedHead)}
	path := filepath.Join(r.o.Dir, "head.key")
	key, err := ledger.ReadHeadKey(path)
	switch {
	case err == nil:
		r.heads.key = key.Public()
	case !errors.Is(err, os.ErrNotExist):
		r.problem("heads: %w", err)
	}
	h := r.o.Signed
	if h == nil {
		return
	}
	if h.Pool != r.o.Pool {
		r.problem("heads: the head %s that was kept is of pool %s", h.ID, h.Pool)
		return
	}
	if r.heads.key != nil && !bytes.Equal(r.heads.key, h.Key) {
		r.problem("heads: the head %s that was kept is signed with key %x, this pool's is %x", h.ID, []byte(h.Key), r.heads.key)
	}
	r.heads.slices[h.Slices] = append(r.heads.slices[h.Slices], h)
}

// head checks an entry that holds a signed head: signature, key, the entry that it names, the tree of
// blocks, and its file.
func (r *auditor) head(e *ledger.Entry) {
	where := r.book.Path()
	h, err := ledger.ParseSignedHead(e.Body)
	switch {
	case err != nil:
		r.problem("ledger: %s entry %d: %w", where, e.Seq, err)
		return
	case h.Pool != r.o.Pool || h.ID != e.Subject.ID || h.Seq >= e.Seq:
		r.problem("ledger: %s entry %d holds the head %s of entry %d of pool %s", where, e.Seq, h.ID, h.Seq, h.Pool)
		return
	case r.heads.key != nil && !bytes.Equal(r.heads.key, h.Key):
		r.problem("ledger: %s entry %d: head %s is signed with key %x, this pool's is %x", where, e.Seq, h.ID, []byte(h.Key), r.heads.key)
	}
	r.a.Heads++
	if at, err := r.book.HeadAt(h.Seq); err != nil || !bytes.Equal(at.Hash[:], h.Hash) {
		r.problem("ledger: %s entry %d has hash %x, the signed head %s has %x: history was rewritten", where, h.Seq, at.Hash, h.ID, []byte(h.Hash))
	}
	leaves := make([]ledger.BlockLeaf, 0, len(r.heads.leaves))
	for _, leaf := range r.heads.leaves {
		leaves = append(leaves, leaf)
	}
	if root, _, _ := ledger.BlocksTree(leaves, pool.Hash{}); root != h.BlocksRoot || uint64(len(leaves)) != h.Blocks {
		r.problem("ledger: %s entry %d: head %s is of %d blocks with root %s, the entries before it give %d and %s", where, e.Seq, h.ID, h.Blocks, h.BlocksRoot, len(leaves), root)
	}
	r.heads.slices[h.Slices] = append(r.heads.slices[h.Slices], h)
	r.last = max(r.last, h.Slices)
	path := filepath.Join(r.o.Dir, "heads", h.ID+".json")
	file, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(file, append(bytes.Clone(e.Body), '\n')) {
		r.problem("heads: %s is not what the ledger has in entry %d", path, e.Seq)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.problem("heads: %w", err)
	}
}

// headSlices adds a slice to the tree over all slices and compares it with the heads that end there.
func (r *auditor) headSlices(p slice.Place, s *slice.Slice) {
	_ = r.heads.chain.Add(slice.ChainLeaf(s.Number, p.Hash, s.Root), slice.ChainJoin) // sums nothing: cannot fail
	if len(r.heads.slices[s.Number]) == 0 {
		return
	}
	root, _ := r.heads.chain.Root(slice.ChainJoin)
	for _, h := range r.heads.slices[s.Number] {
		if root.Hash != h.SlicesRoot {
			r.problem("slices: %s: the slices up to here have root %s, the signed head %s has %s: history was rewritten", p, root.Hash, h.ID, h.SlicesRoot)
		}
	}
	delete(r.heads.slices, s.Number)
}
