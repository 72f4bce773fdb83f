package payout

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// fold is what payouts know: the newest documents of the book's entries up to seq. It can be thrown away
// and read again at any time.
type fold struct {
	seq      uint64
	batches  []*BatchDoc // by Seq, oldest first; a document is never changed once it is here
	blocks   map[pool.Hash]*ledger.BlockDoc
	accounts map[pool.AccountID]*ledger.AccountDoc
}

// refresh folds the entries that were posted since the last time. It fails rather than leave one out:
// a batch that is not seen could be paid again.
func (p *Payouts) refresh() error {
	f := &p.fold
	head := p.book.Head().Seq
	if head < f.seq {
		return fmt.Errorf("the ledger ends at entry %d, but entry %d was read from it", head, f.seq)
	}
	if head == f.seq {
		return nil
	}
	for e, err := range p.book.Entries(f.seq) {
		if err != nil {
			return fmt.Errorf("read the ledger after entry %d: %w", f.seq, err)
		}
		if e.Seq != f.seq+1 {
			return fmt.Errorf("read the ledger: entry %d after %d", e.Seq, f.seq)
		}
		if e.Subject != nil {
			if err := f.apply(&e); err != nil {
				return fmt.Errorf("read ledger entry %d: %w", e.Seq, err)
			}
		}
		f.seq = e.Seq
	}
	return nil
}

func (f *fold) apply(e *ledger.Entry) error {
	switch e.Subject.Set {
	case SetPayouts:
		d := new(BatchDoc)
		if err := json.Unmarshal(e.Body, d); err != nil {
			return fmt.Errorf("payout %s: %w", e.Subject.ID, err)
		}
		if d.V != docVersion || d.ID != e.Subject.ID {
			return fmt.Errorf("payout %s has format %d and id %.64q, this version reads format %d", e.Subject.ID, d.V, d.ID, docVersion)
		}
		i, known := slices.BinarySearchFunc(f.batches, d, func(a, b *BatchDoc) int {
			return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
		})
		if known {
			f.batches[i] = d
		} else {
			f.batches = slices.Insert(f.batches, i, d)
		}
	case ledger.SetBlocks:
		doc := new(ledger.BlockDoc)
		if err := json.Unmarshal(e.Body, doc); err != nil {
			return fmt.Errorf("block %s: %w", e.Subject.ID, err)
		}
		doc.Credits, doc.PaidByCoinbase = nil, nil // not needed here, and large
		f.blocks[doc.Hash] = doc
	case ledger.SetAccounts:
		doc := new(ledger.AccountDoc)
		if err := json.Unmarshal(e.Body, doc); err != nil {
			return fmt.Errorf("account %s: %w", e.Subject.ID, err)
		}
		f.accounts[doc.Account] = doc
	}
	return nil
}

// balances reads all balances as they are at the entry that the fold has come to.
func (p *Payouts) balances() (map[ledger.Account]pool.Amount, error) {
	for range 100 {
		if err := p.refresh(); err != nil {
			return nil, err
		}
		all := maps.Collect(p.book.Balances())
		if p.book.Head().Seq == p.fold.seq {
			return all, nil
		}
	}
	return nil, errors.New("the ledger grows faster than its balances can be read")
}

// open returns the batch that stands in the way of another one, nil when there is none.
func (f *fold) open() *BatchDoc {
	for _, d := range f.batches {
		if d.open() {
			return d
		}
	}
	return nil
}

// find returns a batch by its id or at least six digits of its beginning.
func (f *fold) find(id string) (*BatchDoc, error) {
	var found *BatchDoc
	for _, d := range f.batches {
		if d.ID == id {
			return d, nil
		}
		if len(id) >= 6 && len(id) < len(d.ID) && d.ID[:len(id)] == id {
			if found != nil {
				return nil, fmt.Errorf("%w: %q begins more than one id, give more digits", ErrUnknown, id)
			}
			found = d
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %.64q", ErrUnknown, id)
	}
	return found, nil
}
