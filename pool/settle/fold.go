package settle

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/slice"
)

// cursor is where the fold stands in one stream.
type cursor struct {
	next uint64   // sequence that comes next
	link [32]byte // hash of the last journal block that was taken in whole
}

// fold puts the shares of all streams into slices. It is not safe for concurrent use.
type fold struct {
	pool    string
	fs      journal.FS
	dir     string
	scorer  *slice.Scorer
	store   *slice.Log
	open    *openSlice
	cursors map[slice.StreamID]cursor
	skips   map[uint64]map[uint64]struct{} // epoch → sequences counted as extras before their turn
	scripts map[pool.AccountID][]byte      // of every account in the slices
	blocks  map[pool.Hash]uint64           // block → slice that it closed
	closers map[uint64]pool.Hash           // slice → block that closed it

	decoder journal.Decoder
	shares  []pool.Share
}

// ErrStream reports a stream that does not go on where the fold stands: a gap, another history, or
// bytes that are no journal block. Its shares wait until the stream is put right.
var ErrStream = errors.New("stream does not go on where it was left")

// openFold restores the state from the slices and the checkpoint in dir. ledgerSlice is the highest
// slice that the ledger refers to.
func openFold(poolID string, fs journal.FS, dir string, ledgerSlice uint64, log zerolog.Logger) (*fold, error) {
	f := &fold{
		pool: poolID, fs: fs, dir: dir, scorer: slice.NewScorer(), cursors: make(map[slice.StreamID]cursor),
		skips: make(map[uint64]map[uint64]struct{}), scripts: make(map[pool.AccountID][]byte),
		blocks: make(map[pool.Hash]uint64), closers: make(map[uint64]pool.Hash),
	}
	checkpoint, err := slice.ReadCheckpoint(fs, dir)
	if err != nil {
		return nil, err
	}
	durable := ledgerSlice
	if checkpoint != nil {
		durable = max(durable, checkpoint.Number-1)
	}
	if f.store, err = slice.OpenLog(fs, dir, durable, log, f.replay); err != nil {
		return nil, err
	}
	f.open = newOpenSlice(f.store.Last()+1, f.store.Head())
	if checkpoint != nil && checkpoint.Number == f.open.number {
		if checkpoint.Prev != f.store.Head() {
			return nil, errors.Join(fmt.Errorf("checkpoint %s/%s belongs to other slices", dir, slice.CheckpointName), f.store.Close())
		}
		if err := f.replay(checkpoint); err != nil {
			return nil, errors.Join(err, f.store.Close())
		}
		f.open = thaw(checkpoint)
	}
	return f, nil
}

// replay takes in a slice from disk: cursors, skips, scripts, blocks. Its sums are the store's.
func (f *fold) replay(s *slice.Slice) error {
	for _, r := range s.Ranges {
		if at := max(f.cursors[r.StreamID].next, 1); r.From != at {
			return fmt.Errorf("slice %d begins %s at %d, the slices before it end at %d", s.Number, r.StreamID, r.From, at)
		}
		f.cursors[r.StreamID] = cursor{r.To, r.Link}
		f.passed(r.Epoch, r.From, r.To)
	}
	for _, x := range s.Extras {
		f.skip(x.Epoch, x.Seq)
	}
	for _, x := range s.Scripts {
		f.scripts[x.Account] = x.Script
	}
	if s.Reason == slice.ReasonBlock {
		f.blocks[s.Block], f.closers[s.Number] = s.Number, s.Block
	}
	return nil
}

// skip notes that a share was counted before its turn, unless its turn is over.
func (f *fold) skip(epoch, seq uint64) {
	if seq == 0 || f.folded(epoch, seq) {
		return
	}
	if f.skips[epoch] == nil {
		f.skips[epoch] = make(map[uint64]struct{})
	}
	f.skips[epoch][seq] = struct{}{}
}

// passed forgets the skips of sequences that the fold has gone over.
func (f *fold) passed(epoch, from, to uint64) {
	for seq := range f.skips[epoch] {
		if seq >= from && seq < to {
			delete(f.skips[epoch], seq)
		}
	}
	if len(f.skips[epoch]) == 0 {
		delete(f.skips, epoch)
	}
}

// folded reports whether a journalled share has had its turn.
func (f *fold) folded(epoch, seq uint64) bool {
	for id, c := range f.cursors {
		if id.Epoch == epoch {
			return c.next > seq
		}
	}
	return false
}

// next is the sequence at which a stream goes on.
func (f *fold) next(id slice.StreamID) uint64 { return max(f.cursors[id].next, 1) }

// block folds one journal block of a stream; what of it was folded before is passed over. It returns
// how many shares were new. On [ErrStream] nothing was changed; other errors leave the fold unusable.
func (f *fold) block(id slice.StreamID, raw []byte) (int, error) {
	b, shares, err := f.decoder.DecodeAppend(f.shares[:0], raw)
	f.shares = shares[:0]
	if err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrStream, id, err)
	}
	at := cursor{f.next(id), f.cursors[id].link}
	switch {
	case b.Pool != f.pool || b.Epoch != id.Epoch:
		return 0, fmt.Errorf("%w: %s has a block of pool %s, epoch %016x", ErrStream, id, b.Pool, b.Epoch)
	case b.Last() < at.next:
		return 0, nil
	case b.First > at.next:
		return 0, fmt.Errorf("%w: %s has %d, wanted is %d", ErrStream, id, b.First, at.next)
	case b.Prev != at.link:
		return 0, fmt.Errorf("%w: %s at %d: another history of hash %x", ErrStream, id, b.First, b.Prev[:8])
	}
	fresh := shares[at.next-b.First:]
	for i := range fresh { // before anything changes: a share without a score stops its stream whole
		if _, err := f.score(&fresh[i]); err != nil {
			return 0, fmt.Errorf("%w: %s at %d: %w", ErrStream, id, fresh[i].Seq, err)
		}
	}
	hash := b.Hash()
	for i := range fresh {
		s := &fresh[i]
		if _, begun := f.open.from[id]; !begun {
			f.open.from[id] = s.Seq
		}
		at.next = s.Seq + 1
		if s.Seq == b.Last() {
			at.link = hash
		}
		f.cursors[id] = at
		if skips := f.skips[id.Epoch]; skips != nil {
			if _, skip := skips[s.Seq]; skip {
				f.passed(id.Epoch, s.Seq, s.Seq+1)
				continue
			}
		}
		if err := f.add(s); err != nil {
			return i, err
		}
	}
	return len(fresh), nil
}

// score is 0 for early and solo shares.
func (f *fold) score(s *pool.Share) (pool.Work, error) {
	if s.Flags&pool.ShareEarly != 0 || s.Scheme == pool.SchemeSOLO || s.Credit.IsZero() {
		return pool.Work{}, nil
	}
	return f.scorer.Score(s.Credit, s.Bits)
}

// add counts a share in the open slice, and closes the slice when it is full.
func (f *fold) add(s *pool.Share) error {
	if err := f.count(s); err != nil {
		return err
	}
	if f.open.score.Cmp(slice.FullScore) >= 0 {
		return f.close(slice.ReasonFull, pool.Hash{})
	}
	return nil
}

// count adds a share to the open slice.
func (f *fold) count(s *pool.Share) error {
	score, err := f.score(s)
	if err != nil {
		return err
	}
	o := f.open
	o.counts.Shares++
	if o.counts.First == 0 || s.Time < o.counts.First {
		o.counts.First = s.Time
	}
	o.counts.Newest = max(o.counts.Newest, s.Time)
	work := &o.counts.Work
	switch {
	case s.Scheme == pool.SchemeSOLO:
		o.counts.Solo++
		work = &o.counts.SoloWork
	case s.Flags&pool.ShareEarly != 0:
		o.counts.Early++
	}
	if *work, err = work.Add(s.Issued); err != nil {
		return fmt.Errorf("count the work of slice %d: %w", o.number, err)
	}
	if score.IsZero() {
		return nil
	}
	sum, begun := o.sums[s.Account]
	if sum, err = sum.Add(score); err != nil {
		return fmt.Errorf("count the score of slice %d: %w", o.number, err)
	}
	o.sums[s.Account] = sum
	if o.score, err = o.score.Add(score); err != nil {
		return fmt.Errorf("count the score of slice %d: %w", o.number, err)
	}
	if begun {
		return nil
	}
	if _, known := f.scripts[s.Account]; !known {
		f.scripts[s.Account], o.scripts[s.Account] = s.Script, s.Script
	}
	return nil
}

// close closes the open slice and begins the next.
func (f *fold) close(reason slice.Reason, block pool.Hash) error {
	s := f.open.freeze(f.cursors, reason, block)
	if err := f.store.Append(s); err != nil {
		return err
	}
	if reason == slice.ReasonBlock {
		f.blocks[block], f.closers[s.Number] = s.Number, block
	}
	f.open = newOpenSlice(s.Number+1, f.store.Head())
	return nil
}

// found closes the open slice for a block, durably, and returns its number; the second time it only
// returns the number. share, when not nil, found the block: it is the last in the slice, unless its
// stream has been folded over it already.
func (f *fold) found(block pool.Hash, epoch uint64, share *pool.Share) (uint64, error) {
	if number, known := f.blocks[block]; known {
		return number, f.store.Sync()
	}
	if share != nil && (share.Seq == 0 || !f.folded(epoch, share.Seq)) {
		if err := f.extra(epoch, share); err != nil {
			return 0, err
		}
	}
	number := f.open.number
	if err := f.close(slice.ReasonBlock, block); err != nil {
		return 0, err
	}
	return number, f.store.Sync()
}

// extra counts a share before its turn.
func (f *fold) extra(epoch uint64, s *pool.Share) error {
	if err := f.count(s); err != nil {
		return err
	}
	f.open.extras = append(f.open.extras, slice.Extra{Epoch: epoch, Seq: s.Seq, Account: s.Account, Credit: s.Credit, Bits: s.Bits, Hash: s.Hash})
	f.skip(epoch, s.Seq)
	return nil
}

// checkpoint writes the open slice, and makes the closed ones durable before it. It returns the size.
func (f *fold) checkpoint() (int, error) {
	if err := f.store.Sync(); err != nil {
		return 0, err
	}
	b, err := f.open.freeze(f.cursors, slice.ReasonOpen, pool.Hash{}).AppendBinary(nil)
	if err != nil {
		return 0, err
	}
	return len(b), journal.ReplaceFile(f.fs, f.dir, slice.CheckpointName, b)
}

// streams lists the streams that the fold knows, in order.
func (f *fold) streams() []slice.StreamID {
	return slices.SortedFunc(maps.Keys(f.cursors), slice.Compare)
}
