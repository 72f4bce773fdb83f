package ledger

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/adit-pool/adit/pool"
)

// Record is an entry and its place in the chain.
type Record struct {
	Entry Entry
	Head  Head
}

// Records yields the entries after a sequence, oldest first, from disk, up to the head as of the call.
// Each line's hash is checked on the way. What the last PostAll entered comes from memory instead; nothing of a
// record may be changed.
func (b *Book) Records(after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		b.mu.Lock()
		last, recent := b.head.Seq, b.recent
		if n := len(recent); n > 0 && recent[n-1].Head == b.head && recent[0].Head.Seq <= after+1 && after < last {
			b.mu.Unlock()
			for _, r := range recent[after+1-recent[0].Head.Seq:] {
				if !yield(r, nil) {
					return
				}
			}
			return
		}
		prev, err := b.hashAt(after)
		if err == nil && after < last {
			after++
		} else {
			last = 0 // nothing to read
		}
		var r *lineReader
		if last != 0 {
			r = newLineReader(b.file, b.offsets[after-1])
		}
		b.mu.Unlock()
		if err != nil {
			yield(Record{}, err)
			return
		}
		if r == nil {
			return
		}
		for seq := after; seq <= last; seq++ {
			line, offset, err := r.next()
			if err == nil {
				var e Entry
				if e, prev, err = parseLine(line, prev); err == nil {
					if !yield(Record{e, Head{e.Seq, e.Term, prev}}, nil) {
						return
					}
					continue
				}
			}
			yield(Record{}, fmt.Errorf("read ledger entry %d at offset %d: %w", seq, offset, err))
			return
		}
	}
}

// Entries yields the entries after a sequence, oldest first, from disk.
func (b *Book) Entries(after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for r, err := range b.Records(after) {
			if !yield(r.Entry, err) {
				return
			}
		}
	}
}

// HeadAt is the head as it was when seq was the last entry; the zero Head for 0.
func (b *Book) HeadAt(seq uint64) (Head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch seq {
	case 0:
		return Head{}, nil
	case b.head.Seq: // asked all the time, and a block's entry has megabytes
		return b.head, nil
	}
	r, err := b.read(seq)
	return r.Head, err
}

// hashAt reads the hash of a line from disk. It is called under the lock.
func (b *Book) hashAt(seq uint64) (hash [32]byte, err error) {
	if seq == 0 {
		return hash, nil
	}
	if seq > b.head.Seq {
		return hash, fmt.Errorf("ledger entry %d: the last is %d", seq, b.head.Seq)
	}
	var digits [hashDigits]byte
	if _, err := b.file.ReadAt(digits[:], b.offsets[seq-1]); err != nil {
		return hash, fmt.Errorf("read ledger entry %d: %w", seq, err)
	}
	if _, err := hex.Decode(hash[:], digits[:]); err != nil {
		return hash, fmt.Errorf("read ledger entry %d: %w", seq, err)
	}
	return hash, nil
}

// read reads one entry. It is called under the lock.
func (b *Book) read(seq uint64) (Record, error) {
	if seq == 0 || seq > b.head.Seq {
		return Record{}, fmt.Errorf("ledger entry %d: the last is %d", seq, b.head.Seq)
	}
	prev, err := b.hashAt(seq - 1)
	if err != nil {
		return Record{}, err
	}
	line, offset, err := newLineReader(b.file, b.offsets[seq-1]).next()
	if err == nil {
		var e Entry
		var hash [32]byte
		if e, hash, err = parseLine(line, prev); err == nil {
			return Record{e, Head{e.Seq, e.Term, hash}}, nil
		}
	}
	return Record{}, fmt.Errorf("read ledger entry %d at offset %d: %w", seq, offset, err)
}

// Find returns the entry of a key.
func (b *Book) Find(key string) (Entry, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.keys[key]
	if !ok {
		return Entry{}, false, nil
	}
	r, err := b.read(k.seq)
	return r.Entry, err == nil, err
}

// Has reports whether a document exists.
func (b *Book) Has(set, id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.docs[set][id]
	return ok
}

// Doc returns the newest text of a document. ok is false when there is none, or when the disk does not
// give it back, which is logged.
func (b *Book) Doc(set, id string) (json.RawMessage, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	place, ok := b.docs[set][id]
	if !ok {
		return nil, false
	}
	r, err := b.read(place.seq)
	if err != nil {
		b.log.Error().Str(pool.EventField, pool.EventLedgerUnreadable).Err(err).Str("set", set).Str("id", id).Msg("ledger document cannot be read back")
		return nil, false
	}
	return r.Entry.Body, true
}

// Docs yields the ids and texts of a set's documents by rank, lowest first, ties by id, as of the call.
// Documents that the disk does not give back are left out and logged.
func (b *Book) Docs(set string) iter.Seq2[string, json.RawMessage] {
	type item struct {
		id   string
		rank int64
	}
	b.mu.Lock()
	items := make([]item, 0, len(b.docs[set]))
	for id, place := range b.docs[set] {
		items = append(items, item{id, place.rank})
	}
	b.mu.Unlock()
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.id, b.id))
	})
	return func(yield func(string, json.RawMessage) bool) {
		for _, it := range items {
			if body, ok := b.Doc(set, it.id); ok && !yield(it.id, body) {
				return
			}
		}
	}
}
