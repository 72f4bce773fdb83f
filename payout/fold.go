package payout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// fold is what payouts know: the newest documents of the book's entries up to seq. It can be thrown away
// and read again at any time.
type fold struct {
	seq      uint64
	batches  []*BatchDoc // by Seq, then part; a document is never changed once it is here
	byID     map[string]*BatchDoc
	spenders map[pool.Hash]map[string]*BatchDoc // loose batches by the payout transactions that they spend
	blocks   map[pool.Hash]*ledger.BlockDoc
	accounts map[pool.AccountID]*ledger.AccountDoc
	payees   map[pool.AccountID]*PayeeDoc
	privacy  map[pool.AccountID]*ledger.PrivacyDoc
	list     *ledger.PayeesDoc        // newest one
	named    map[pool.AccountID]int64 // height of the tip whose lists named an account last
	halt     *HaltDoc
	receipts map[build.Outpoint]*ReceiptDoc
	decided  map[build.Outpoint]*CoinDoc
	scan     *ScanDoc
	faults   []Difference // in the entries so far
}

// refresh folds the entries that were posted since the last time. It fails rather than leave one out:
// a batch that is not seen could be paid again.
func (p *Payouts) refresh() error { return p.refreshTo(p.book.Head().Seq) }

func (p *Payouts) refreshTo(seq uint64) error {
	f := &p.fold
	if seq < f.seq {
		return fmt.Errorf("the ledger ends at entry %d, but entry %d was read from it", seq, f.seq)
	}
	if seq == f.seq {
		return nil
	}
	for e, err := range p.book.Entries(f.seq) {
		if err != nil {
			return fmt.Errorf("read the ledger after entry %d: %w", f.seq, err)
		}
		if e.Seq != f.seq+1 {
			return fmt.Errorf("read the ledger: entry %d after %d", e.Seq, f.seq)
		}
		f.foreign(&e)
		if e.Subject != nil {
			if err := f.apply(&e); err != nil {
				return fmt.Errorf("read ledger entry %d: %w", e.Seq, err)
			}
		}
		if f.seq = e.Seq; f.seq == seq {
			break
		}
	}
	return nil
}

// adopt folds entries that were just posted, by the documents that they were made of: large ones need not be read
// from the disk again. An entry that was there before is read.
func (p *Payouts) adopt(posted []ledger.Entry, docs []*BatchDoc) error {
	for i := range posted {
		e := &posted[i]
		if e.Seq <= p.fold.seq {
			continue
		}
		if err := p.refreshTo(e.Seq - 1); err != nil {
			return err
		}
		p.fold.batch(e, docs[i])
		p.fold.seq = e.Seq
	}
	return p.refresh()
}

func (f *fold) apply(e *ledger.Entry) error {
	switch e.Subject.Set {
	case SetPayouts:
		d := new(BatchDoc)
		if err := json.Unmarshal(e.Body, d); err != nil {
			return fmt.Errorf("payout %s: %w", e.Subject.ID, err)
		}
		if d.V < docOldest || d.V > docVersion || d.ID != e.Subject.ID {
			return fmt.Errorf("payout %s has format %d and id %.64q, this version reads formats %d to %d", e.Subject.ID, d.V, d.ID, docOldest, docVersion)
		}
		f.batch(e, d)
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
	case SetPayees:
		doc := new(PayeeDoc)
		if err := setting(e, doc, func() int { return doc.V }); err != nil {
			return err
		}
		f.payees[doc.Account] = doc
	case ledger.SetPrivacy:
		doc := new(ledger.PrivacyDoc)
		if err := setting(e, doc, func() int { return doc.V }); err != nil {
			return err
		}
		f.privacy[doc.Account] = doc
	case ledger.SetPayees:
		doc := new(ledger.PayeesDoc)
		if err := json.Unmarshal(e.Body, doc); err != nil || doc.V != ledger.PayeesVersion {
			return fmt.Errorf("list of coinbase payees, format %d: %w", doc.V, err)
		}
		f.list = doc
		for _, q := range doc.Payees {
			f.named[q.Account] = max(f.named[q.Account], doc.Height)
		}
	case SetHalt:
		doc := new(HaltDoc)
		if err := setting(e, doc, func() int { return doc.V }); err != nil {
			return err
		}
		f.halt = doc
	case SetReceipts:
		doc := new(ReceiptDoc)
		if err := setting(e, doc, func() int { return doc.V }); err != nil {
			return err
		}
		f.receipts[doc.Coin] = doc
	case SetCoins:
		doc := new(CoinDoc)
		if err := setting(e, doc, func() int { return doc.V }); err != nil {
			return err
		}
		f.auditCoin(e, doc)
		f.decided[doc.Coin] = doc
	case SetScan:
		doc := new(ScanDoc)
		if err := setting(e, doc, func() int { return doc.V }); err != nil {
			return err
		}
		f.scan = doc
	}
	return nil
}

// batch takes in a batch as an entry leaves it.
func (f *fold) batch(e *ledger.Entry, d *BatchDoc) {
	i, known := slices.BinarySearchFunc(f.batches, d, func(a, b *BatchDoc) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Part, b.Part), cmp.Compare(a.ID, b.ID))
	})
	if known {
		f.batches[i] = d
	} else {
		f.batches = slices.Insert(f.batches, i, d)
	}
	f.audit(e, f.byID[d.ID], d)
	f.byID[d.ID] = d
	if !d.loose() {
		return
	}
	for _, v := range d.versions() {
		for _, in := range v.Inputs {
			if in.Block != nil {
				continue
			}
			if f.spenders[in.TxID] == nil {
				f.spenders[in.TxID] = map[string]*BatchDoc{}
			}
			f.spenders[in.TxID][d.ID] = d
		}
	}
}

// setting reads a document that is no batch.
func setting(e *ledger.Entry, doc any, version func() int) error {
	if err := json.Unmarshal(e.Body, doc); err != nil {
		return fmt.Errorf("%s %s: %w", e.Subject.Set, e.Subject.ID, err)
	}
	if v := version(); v != settingsVersion {
		return fmt.Errorf("%s %s has format %d, this version reads format %d", e.Subject.Set, e.Subject.ID, v, settingsVersion)
	}
	return nil
}

// balances reads all balances, and brings the fold to the entry that they are as of.
func (p *Payouts) balances() (map[ledger.Account]pool.Amount, error) {
	all, head := p.book.Snapshot()
	return all, p.refreshTo(head.Seq)
}

// open returns the first batch that stands in the way of another run, nil when there is none.
func (f *fold) open() *BatchDoc {
	for _, d := range f.batches {
		if d.open() && d.pays() {
			return d
		}
	}
	return nil
}

// runOf returns the batches of d's run: the fan, when there is one, then the parts.
func (f *fold) runOf(d *BatchDoc) []*BatchDoc {
	if !d.pays() || d.Parts < 2 {
		return []*BatchDoc{d}
	}
	var docs []*BatchDoc
	for _, b := range f.batches {
		if b.pays() && b.run() == d.run() && b.Seq == d.Seq {
			docs = append(docs, b)
		}
	}
	return docs
}

// find is [fold.find] in the ledger as it stands now.
func (p *Payouts) find(id string) (*BatchDoc, error) {
	if err := p.refresh(); err != nil {
		return nil, err
	}
	return p.fold.find(id)
}

// find returns a batch by its id or at least six digits of its beginning.
func (f *fold) find(id string) (*BatchDoc, error) {
	if d := f.byID[id]; d != nil {
		return d, nil
	}
	var found *BatchDoc
	for _, d := range f.batches {
		if d.Run == id { // its fan or only batch
			return d, nil
		}
		if len(id) >= 6 && (strings.HasPrefix(d.ID, id) || strings.HasPrefix(d.Run, id)) {
			if found != nil && found.run() != d.run() {
				return nil, fmt.Errorf("%w: %q begins more than one id, give more digits", ErrUnknown, id)
			}
			if found == nil {
				found = d
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %.64q", ErrUnknown, id)
	}
	return found, nil
}
