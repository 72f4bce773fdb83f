package settle

import (
	"bytes"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/slice"
)

// openSlice is the slice that shares are added to.
type openSlice struct {
	number  uint64
	prev    [32]byte
	sums    pool.Sums
	score   pool.Work
	counts  slice.Slice               // First, Newest, Shares, Early, Solo, Work, SoloWork
	from    map[slice.StreamID]uint64 // where each stream stood when the slice took its first share of it
	extras  []slice.Extra
	scripts map[pool.AccountID][]byte // of accounts in no earlier slice
}

func newOpenSlice(number uint64, prev [32]byte) *openSlice {
	return &openSlice{
		number: number, prev: prev, sums: make(pool.Sums),
		from: make(map[slice.StreamID]uint64), scripts: make(map[pool.AccountID][]byte),
	}
}

// freeze gives the record of the slice as it is. cursors say where the streams stand now.
func (o *openSlice) freeze(cursors map[slice.StreamID]cursor, reason slice.Reason, block pool.Hash) *slice.Slice {
	s := o.counts
	s.Number, s.Prev, s.Reason, s.Block = o.number, o.prev, reason, block
	s.Score, s.Weight = o.score, o.sums.Weights()
	s.Extras = slices.Clone(o.extras)
	for id, from := range o.from {
		if c := cursors[id]; c.next > from {
			s.Ranges = append(s.Ranges, slice.Range{StreamID: id, From: from, To: c.next, Link: c.link})
		}
	}
	slices.SortFunc(s.Ranges, func(a, b slice.Range) int { return slice.Compare(a.StreamID, b.StreamID) })
	for account, script := range o.scripts {
		s.Scripts = append(s.Scripts, slice.Script{Account: account, Script: script})
	}
	slices.SortFunc(s.Scripts, func(a, b slice.Script) int { return bytes.Compare(a.Account[:], b.Account[:]) })
	return &s
}

// thaw is the opposite of freeze, for a checkpoint.
func thaw(s *slice.Slice) *openSlice {
	o := newOpenSlice(s.Number, s.Prev)
	o.score = s.Score
	o.counts = slice.Slice{First: s.First, Newest: s.Newest, Shares: s.Shares, Early: s.Early, Solo: s.Solo, Work: s.Work, SoloWork: s.SoloWork}
	for _, w := range s.Weight {
		o.sums[w.Account] = w.Score
	}
	o.extras = slices.Clone(s.Extras)
	for _, r := range s.Ranges {
		o.from[r.StreamID] = r.From
	}
	for _, x := range s.Scripts {
		o.scripts[x.Account] = x.Script
	}
	return o
}
