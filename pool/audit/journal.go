package audit

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/slice"
)

// epochShares is what a journal holds of one epoch.
type epochShares struct {
	first  uint64
	shares []scored
	ends   map[uint64][32]byte // last sequence of a block → its hash
}

// scored is what the audit keeps of a share.
type scored struct {
	account pool.AccountID
	score   pool.Work
}

func (e *epochShares) last() uint64 { return e.first + uint64(len(e.shares)) - 1 }

// journal reads all shares and sums anew every slice whose shares are all there.
func (r *auditor) journal() error {
	var epochs map[uint64]*epochShares
	var err error
	for range 3 { // a running server may delete a released file between listing and reading
		epochs, err = r.readJournal()
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil // this directory has no edge
	}
	if err != nil {
		r.problem("%w", err)
	}
	counted := make(map[uint64]map[uint64]bool)
	_, err = slice.ScanClosed(filepath.Join(r.o.Dir, "slices"), func(p slice.Place, s *slice.Slice) error {
		if s.Number <= r.a.Slices {
			r.sum(p, s, epochs, counted)
		}
		return nil
	})
	if damage := (*slice.Damage)(nil); errors.As(err, &damage) {
		return nil // said before
	}
	return err
}

func (r *auditor) readJournal() (map[uint64]*epochShares, error) {
	epochs := make(map[uint64]*epochShares)
	seen := make(map[[16]byte]struct{})
	scores := slice.NewScorer()
	r.a.Shares = 0
	err := journal.Scan(filepath.Join(r.o.Dir, "journal"), func(b journal.Block, shares []pool.Share) error {
		e := epochs[b.Epoch]
		if e == nil {
			e = &epochShares{first: b.First, ends: make(map[uint64][32]byte)}
			epochs[b.Epoch] = e
		}
		e.ends[b.Last()] = b.Hash()
		for i := range shares {
			s := &shares[i]
			if _, again := seen[s.Hash]; again {
				r.problem("journal: share %016x/%d has the header hash %x of an earlier one", b.Epoch, s.Seq, s.Hash)
			}
			seen[s.Hash] = struct{}{}
			x := scored{account: s.Account}
			if s.Flags&pool.ShareEarly == 0 && s.Scheme != pool.SchemeSOLO && !s.Credit.IsZero() {
				var err error
				if x.score, err = scores.Score(s.Credit, s.Bits); err != nil {
					r.problem("journal: share %016x/%d: %w", b.Epoch, s.Seq, err)
				}
			}
			e.shares = append(e.shares, x)
			r.a.Shares++
		}
		return nil
	})
	return epochs, err
}

// sum compares a slice's weights with its shares in the journal.
func (r *auditor) sum(p slice.Place, s *slice.Slice, epochs map[uint64]*epochShares, counted map[uint64]map[uint64]bool) {
	sums := make(map[pool.AccountID]pool.Work)
	add := func(x scored) {
		if !x.score.IsZero() {
			sums[x.account], _ = sums[x.account].Add(x.score)
		}
	}
	scores := slice.NewScorer()
	whole := true
	for _, x := range s.Extras {
		if x.Seq != 0 {
			if counted[x.Epoch] == nil {
				counted[x.Epoch] = make(map[uint64]bool)
			}
			counted[x.Epoch][x.Seq] = true
		}
		score, err := scores.Score(x.Credit, x.Bits)
		if err != nil {
			r.problem("slices: %s: %w", p, err)
		}
		add(scored{x.Account, score})
	}
	for _, g := range s.Ranges {
		e := epochs[g.Epoch]
		if e == nil || g.From < e.first {
			whole = false
			continue
		}
		if g.To-1 > e.last() {
			r.problem("journal: epoch %016x ends at share %d, %s counts up to %d: shares are missing", g.Epoch, e.last(), p, g.To-1)
			whole = false
			continue
		}
		for seq := g.From; seq < g.To; seq++ {
			if !counted[g.Epoch][seq] {
				add(e.shares[seq-e.first])
			}
		}
		if hash, ends := e.ends[g.To-1]; ends && hash != g.Link {
			r.problem("journal: epoch %016x up to share %d has hash %x, %s has taken in %x", g.Epoch, g.To-1, hash, p, g.Link)
		}
	}
	if !whole {
		r.a.Released++
		return
	}
	r.a.Recomputed++
	for _, w := range s.Weight {
		if sums[w.Account] != w.Score {
			r.problem("slices: %s: account %s has %s, its shares in the journal give %s", p, w.Account, w.Score, sums[w.Account])
		}
		delete(sums, w.Account)
	}
	for account, score := range sums {
		r.problem("slices: %s: leaves out account %s, whose shares in the journal give %s", p, account, score)
	}
}
