package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// Options say what is audited.
type Options struct {
	Dir     string // of one pool: journal, slices, ledger, allocations, secret
	Pool    string
	Schemes func(name string) (allocation.Splitter, error)
	// Known, when its Seq is not 0, is a head of the ledger that was noted earlier: the ledger must have it.
	Known ledger.Head
	// Signed, when not nil, is a signed head that was kept: ledger and slices must have led to it.
	Signed *ledger.SignedHead
}

// Result is what was found. It is good when Problems is empty.
type Result struct {
	Head        ledger.Head
	Entries     uint64
	Slices      uint64 // closed
	Blocks      int    // credited blocks whose credits were recomputed
	Allocations int    // files recomputed
	Shares      uint64 // in the journal
	Recomputed  uint64 // slices that were summed anew from the journal's shares
	Released    uint64 // slices whose shares the journal does not hold any more
	Torn        int    // bytes at the ledger's end that were never acknowledged
	Heads       int    // signed heads checked
	Problems    []error
}

// auditor is an audit under way.
type auditor struct {
	o      Options
	book   *ledger.Book
	secret allocation.Secret
	a      *Result
	begin  map[uint64][]*window // by first slice
	active []*window
	next   map[slice.StreamID]uint64
	passed map[uint64]uint64          // epoch → sequence at which the slices so far end
	extras map[uint64]map[uint64]bool // epoch → sequences that an extra counted before their turn
	heads  headsCheck
	last   uint64 // slice that the ledger or the checkpoint knows of
}

// Run checks everything that a pool's directory holds, against itself: the chains of ledger,
// slices and journal; that every entry balances and every balance is the sum of its postings; that each
// slice continues the one before and has the sums of the shares that the journal still holds; each
// block's credits, anew from the slices; and each allocation file. It locks and changes nothing and may
// run beside a server: it looks at the ledger first and then at what the ledger was made from. What is
// wrong is in Problems, each naming file and place; the error is for a directory that cannot be read.
func Run(o Options) (*Result, error) {
	r := &auditor{o: o, a: new(Result), begin: make(map[uint64][]*window)}
	if err := r.ledger(); err != nil {
		return nil, err
	}
	if r.book != nil {
		defer r.book.Close()
	}
	if err := r.chain(); err != nil {
		return nil, err
	}
	if err := r.journal(); err != nil {
		return nil, err
	}
	return r.a, nil
}

func (r *auditor) problem(format string, args ...any) {
	r.a.Problems = append(r.a.Problems, fmt.Errorf(format, args...))
}

// ledger reads the book, checks every posting and lists the windows to be summed.
func (r *auditor) ledger() error {
	book, err := ledger.View(filepath.Join(r.o.Dir, "ledger"), r.o.Pool, 0)
	if err != nil {
		if errors.Is(err, ledger.ErrEntry) || errors.Is(err, ledger.ErrOverdraft) {
			r.problem("ledger: %w", err)
			return nil
		}
		return err
	}
	r.book = book
	r.a.Head, r.a.Torn = book.Head(), book.Torn()
	r.a.Entries = r.a.Head.Seq
	r.signed()
	if err := r.known(); err != nil {
		return err
	}
	sums := make(map[ledger.Account]int64)
	blocks := make(map[pool.Hash]*ledger.BlockDoc)
	for e, err := range book.Entries(0) {
		if err != nil {
			r.problem("ledger: %w", err)
			return nil
		}
		if e.Seq > r.a.Head.Seq {
			break
		}
		for _, p := range e.Postings {
			sums[p.Debit] += signed(p.Debit, p.Amount)
			sums[p.Credit] -= signed(p.Credit, p.Amount)
		}
		if e.Subject != nil && e.Subject.Set == ledger.SetHeads {
			r.head(&e)
		}
		if e.Subject != nil && e.Subject.Set == ledger.SetBlocks {
			doc, err := checkBlockEntry(&e, blocks)
			if err != nil {
				r.problem("ledger: %s entry %d: %w", book.Path(), e.Seq, err)
			}
			if doc != nil {
				if leaf, ok := ledger.LeafOf(doc); ok {
					r.heads.leaves[doc.Hash] = leaf
				}
			}
		}
	}
	total := int64(0)
	for account, balance := range book.Balances() {
		if sums[account] != int64(balance) {
			r.problem("ledger: %s: account %s has %d, its postings add up to %d", book.Path(), account, balance, sums[account])
		}
		total += signed(account, balance)
	}
	if total != 0 {
		r.problem("ledger: %s: debits and credits differ by %d", book.Path(), total)
	}
	fees, err := ledger.ReadFees(book)
	if err != nil {
		r.problem("ledger: %s: %w", book.Path(), err)
	}
	for _, doc := range blocks {
		if err := fees.Check(doc); err != nil {
			r.problem("ledger: %s: %w", book.Path(), err)
		}
		if doc.Window != nil {
			r.last = max(r.last, doc.Window.Last)
		}
		if doc.Window != nil && doc.Coinbase != nil {
			r.begin[doc.Window.First] = append(r.begin[doc.Window.First], newWindow(doc))
		}
	}
	if len(r.begin) > 0 {
		r.secret, err = allocation.ReadSecret(filepath.Join(r.o.Dir, "secret"))
		if err != nil {
			r.problem("allocation: no block can be recomputed: %w", err)
			clear(r.begin)
		}
	}
	return nil
}

// signed is an amount as it changes an account when debited.
func signed(a ledger.Account, amount pool.Amount) int64 {
	if a.DebitNormal() {
		return int64(amount)
	}
	return -int64(amount)
}

// known compares with heads that were noted earlier.
func (r *auditor) known() error {
	noted := []ledger.Head{r.o.Known}
	if h := r.o.Signed; h != nil {
		noted = append(noted, ledger.Head{Seq: h.Seq, Hash: [32]byte(h.Hash)})
	}
	for _, k := range noted {
		if k.Seq == 0 {
			continue
		}
		if k.Seq > r.a.Head.Seq {
			r.problem("ledger: %s ends at entry %d, but entry %d was there once: entries are missing", r.book.Path(), r.a.Head.Seq, k.Seq)
			continue
		}
		at, err := r.book.HeadAt(k.Seq)
		if err != nil {
			return err
		}
		if at.Hash != k.Hash {
			r.problem("ledger: %s entry %d has hash %x, it once had %x: history was rewritten", r.book.Path(), k.Seq, at.Hash, k.Hash)
		}
	}
	return nil
}

// checkBlockEntry checks an entry about a block: its sums, and that it posts what the document says.
func checkBlockEntry(e *ledger.Entry, blocks map[pool.Hash]*ledger.BlockDoc) (*ledger.BlockDoc, error) {
	doc, err := decodeBlock(e)
	if err != nil {
		return nil, err
	}
	before := blocks[doc.Hash]
	blocks[doc.Hash] = doc
	if doc.Coinbase != nil {
		sum := doc.Fee + doc.Carry
		for _, c := range doc.Credits {
			sum += c.Amount
		}
		if sum != doc.Reward() {
			return doc, fmt.Errorf("block %s: credits + fee + carry are %d, the reward is %d", doc.Hash, sum, doc.Reward())
		}
		var direct pool.Amount
		for _, c := range doc.PaidByCoinbase {
			direct += c.Amount
		}
		if doc.Window == nil {
			direct = 0
		}
		if direct != doc.Direct {
			return doc, fmt.Errorf("block %s: its coinbase paid %d to accounts, their sum is %d", doc.Hash, doc.Direct, direct)
		}
	}
	var want []ledger.Posting
	switch {
	case e.Kind == "block.named" || doc.State == ledger.BlockSubmitted || doc.State == ledger.BlockRejected:
	case doc.State == ledger.BlockImmature:
		want = doc.CreditPostings()
	case doc.State == ledger.BlockMature:
		want = doc.MaturePostings()
	case doc.State == ledger.BlockOrphaned && before != nil && before.State == ledger.BlockImmature:
		want = ledger.Reversed(doc.CreditPostings())
	case doc.State == ledger.BlockOrphaned && before != nil && before.State == ledger.BlockMature:
		want = doc.LateReversal()
	}
	if !slices.Equal(want, e.Postings) {
		return doc, fmt.Errorf("block %s became %s with other postings than its document says", doc.Hash, doc.State)
	}
	return doc, nil
}

// chain reads the chain of slices, sums windows and checks blocks as their last slice comes.
func (r *auditor) chain() error {
	dir := filepath.Join(r.o.Dir, "slices")
	open, err := slice.ReadCheckpoint(journal.Disk{}, dir) // before the closed ones: they may only grow meanwhile
	if err != nil {
		if !errors.Is(err, slice.ErrSlice) {
			return err
		}
		r.problem("slices: %w", err)
	}
	r.next, r.passed, r.extras = make(map[slice.StreamID]uint64), make(map[uint64]uint64), make(map[uint64]map[uint64]bool)
	end, err := slice.ScanClosed(dir, func(p slice.Place, s *slice.Slice) error {
		r.a.Slices = s.Number
		r.windows(p, s)
		r.continues(p, s)
		r.headSlices(p, s)
		return nil
	})
	var damage *slice.Damage
	switch {
	case errors.As(err, &damage):
		r.problem("slices: %w", damage)
		return nil
	case errors.Is(err, os.ErrNotExist):
		err = nil
	case err != nil:
		return err
	}
	if open != nil {
		r.last = max(r.last, open.Number-1)
	}
	if r.a.Slices < r.last {
		r.problem("slices: %s ends at offset %d with slice %d, the ledger or the checkpoint knows slice %d: the file is cut or a length in it is wrong",
			end.File, end.Offset, r.a.Slices, r.last)
	}
	delete(r.heads.slices, 0)
	for n, heads := range r.heads.slices {
		r.problem("slices: the signed head %s is of %d slices, there are %d", heads[0].ID, n, r.a.Slices)
	}
	for first, sums := range r.begin {
		for _, w := range sums {
			r.problem("slices: block %s was split over slices %d to %d, which are not there", w.doc.Hash, first, w.doc.Window.Last)
		}
	}
	return err
}

// continues checks that a slice goes on where the ones before ended, and counts what it says.
func (r *auditor) continues(p slice.Place, s *slice.Slice) {
	counted := uint64(len(s.Extras))
	for _, x := range s.Extras {
		if x.Seq == 0 {
			continue
		}
		if r.extras[x.Epoch][x.Seq] || x.Seq < r.passed[x.Epoch] {
			r.problem("slices: %s: share %016x/%d is counted a second time", p, x.Epoch, x.Seq)
		}
		if r.extras[x.Epoch] == nil {
			r.extras[x.Epoch] = make(map[uint64]bool)
		}
		r.extras[x.Epoch][x.Seq] = true
	}
	for _, g := range s.Ranges {
		if want := max(r.next[g.StreamID], 1); g.From != want {
			r.problem("slices: %s: begins %s at share %d, the slices before it end at %d", p, g.StreamID, g.From, want)
		}
		r.next[g.StreamID] = g.To
		counted += g.To - g.From
		r.passed[g.Epoch] = g.To
		for seq := range r.extras[g.Epoch] {
			if seq < g.To {
				counted--
				delete(r.extras[g.Epoch], seq)
			}
		}
	}
	if counted != s.Shares {
		r.problem("slices: %s: says %d shares, its ranges have %d", p, s.Shares, counted)
	}
}
