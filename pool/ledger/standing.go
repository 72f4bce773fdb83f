package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A book may be one of two copies on two disks. Then an entry that is on this disk counts only once it is
// committed, which whoever opened the book decides in [Commit]; of a copy that follows, the one that leads
// does. What a disk has promised and what it knows to be committed stands in its file "standing":
//
//	{"v":1,"term":7,"by":"OWNER","committed":{"seq":12,"term":6,"hash":"…"}}

// Commit returns nil once records, which follow prev and are durable on this disk, count. After an error
// nobody knows whether they do, and the book refuses everything until it is opened again. lines are the
// records as they stand in the file.
type Commit func(prev Head, records []Record, lines []byte) error

// Standing is what one copy of a book says to the other.
type Standing struct {
	Head      Head
	Term      uint64 // the highest that was promised to be the only one: entries of lower ones are refused
	By        string // owner it was promised to
	Committed Head   // known to have been committed; more may be
}

type standing struct {
	V         int    `json:"v"`
	Term      uint64 `json:"term"`
	By        string `json:"by"`
	Committed struct {
		Seq  uint64 `json:"seq"`
		Term uint64 `json:"term"`
		Hash Hex    `json:"hash"`
	} `json:"committed"`
}

// The refusals between copies.
var (
	// ErrTerm reports a term that another took over from.
	ErrTerm = errors.New("the ledger's disk is promised to term")
	// ErrForked reports two histories that were both committed. Nothing goes on before a person has looked.
	ErrForked = errors.New("the two copies of the ledger hold different committed entries: a person must find out which is right")
	// ErrBehind reports lines that do not follow the last entry of a copy.
	ErrBehind = errors.New("the entries do not follow the last one of this copy")
)

const standingName = "standing"

// loadStanding reads the file, if there is one.
func (b *Book) loadStanding() error {
	path := filepath.Join(b.dir, standingName)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		err = dec.Decode(&b.standing)
	}
	if err == nil && (b.standing.V != 1 || len(b.standing.Committed.Hash) != 32) {
		err = fmt.Errorf("%w: version %d", ErrEntry, b.standing.V)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// keepStanding writes the file, durably, and takes s over. It is called under post.
func (b *Book) keepStanding(s standing) error {
	s.V = 1
	if s.Committed.Hash == nil {
		s.Committed.Hash = make(Hex, 32)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the ledger's standing: %w", err)
	}
	path := filepath.Join(b.dir, standingName)
	if err := writeWhole(path, append(text, '\n')); err != nil {
		return fmt.Errorf("write the ledger's standing: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.standing = s
	return nil
}

func writeWhole(path string, content []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Standing is what this copy says of itself.
func (b *Book) Standing() Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.standingNow()
}

func (b *Book) standingNow() Standing {
	c := &b.standing.Committed
	s := Standing{Head: b.head, Term: b.standing.Term, By: b.standing.By}
	if c.Seq > 0 {
		s.Committed = Head{Seq: c.Seq, Term: c.Term, Hash: [32]byte(c.Hash)}
	}
	return s
}

// SetCommit makes entries count only when commit says so; nil: as soon as they are on this disk.
func (b *Book) SetCommit(commit Commit) {
	b.post.Lock()
	defer b.post.Unlock()
	b.commit = commit
}

// Promise makes this copy refuse every entry of a lower term, and of the same term from another owner. It
// is durable when it returns. A higher promise, or the same to another, gives [ErrTerm].
func (b *Book) Promise(term uint64, by string) (Standing, error) {
	b.post.Lock()
	defer b.post.Unlock()
	if err := b.writable(); err != nil {
		return Standing{}, err
	}
	s := b.standing
	if term < s.Term || term == s.Term && by != s.By || term <= b.head.Term && !(term == s.Term && by == s.By) {
		return b.standingNow(), fmt.Errorf("%w %d of %s, not to %d of %s", ErrTerm, max(s.Term, b.head.Term), s.By, term, by)
	}
	if term != s.Term || by != s.By {
		s.Term, s.By = term, by
		if err := b.keepStanding(s); err != nil {
			return Standing{}, err
		}
	}
	return b.standingNow(), nil
}

// promised checks that an owner's term is the one promised. It is called under post.
func (b *Book) promised(term uint64, by string) error {
	if err := b.writable(); err != nil {
		return err
	}
	if b.standing.Term != term || b.standing.By != by {
		return fmt.Errorf("%w %d of %s, not to %d of %s", ErrTerm, b.standing.Term, b.standing.By, term, by)
	}
	return nil
}

// Promised checks that this copy is promised to an owner in a term.
func (b *Book) Promised(term uint64, by string) error {
	b.post.Lock()
	defer b.post.Unlock()
	return b.promised(term, by)
}

// Paused runs f while nothing can be posted.
func (b *Book) Paused(f func() error) error {
	b.post.Lock()
	defer b.post.Unlock()
	if err := b.writable(); err != nil {
		return err
	}
	return f()
}

// NoteCommitted notes, durably, that all entries up to a head count. It is called within [Commit]
// or [Book.Paused].
func (b *Book) NoteCommitted(h Head) error {
	s := b.standing
	if h.Seq <= s.Committed.Seq {
		return nil
	}
	s.Committed.Seq, s.Committed.Term, s.Committed.Hash = h.Seq, h.Term, h.Hash[:]
	return b.keepStanding(s)
}

// Follow appends lines behind prev to a copy that does not lead: of the owner and in the term that were
// promised. Everything is checked as when the book is opened, and durable when Follow returns. commit is
// what is known to be committed. The new head is returned.
func (b *Book) Follow(term uint64, by string, prev Head, lines []byte, commit Head) (Head, error) {
	b.post.Lock()
	defer b.post.Unlock()
	if err := b.promised(term, by); err != nil {
		return Head{}, err
	}
	if b.head != prev {
		return b.head, fmt.Errorf("%w (it ends at %d, they follow %d)", ErrBehind, b.head.Seq, prev.Seq)
	}
	if err := b.checkLines(lines, term); err != nil {
		return b.head, err
	}
	if len(lines) > 0 {
		if err := b.write(lines); err != nil {
			return b.head, err
		}
		if err := b.take(lines); err != nil {
			b.fail(err) // on disk and refused: opening it will say the same
			return b.head, err
		}
	}
	if commit.Seq <= b.head.Seq {
		if at, err := b.HeadAt(commit.Seq); err != nil || at != commit {
			return b.head, errors.Join(ErrForked, err)
		}
		if err := b.NoteCommitted(commit); err != nil {
			return b.head, err
		}
	}
	return b.head, nil
}

// checkLines checks chain, sequence, terms and pool without a change.
func (b *Book) checkLines(lines []byte, term uint64) error {
	at := b.head
	for len(lines) > 0 {
		line, rest, whole := bytes.Cut(lines, []byte("\n"))
		if !whole {
			return fmt.Errorf("%w: a line without its end", ErrEntry)
		}
		e, hash, err := parseLine(line, at.Hash)
		switch {
		case err != nil:
			return err
		case e.Seq != at.Seq+1 || e.Term < at.Term || e.Term > term || e.Pool != b.pool:
			return fmt.Errorf("%w: entry %d of term %d, pool %q, behind entry %d of term %d", ErrEntry, e.Seq, e.Term, e.Pool, at.Seq, at.Term)
		}
		at, lines = Head{Seq: e.Seq, Term: e.Term, Hash: hash}, rest
	}
	return nil
}

// take folds lines that are on disk behind the last entry.
func (b *Book) take(lines []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\n"))
		if err := b.loadLine(line, b.size); err != nil {
			return fmt.Errorf("follow with ledger entry %d: %w", b.head.Seq+1, err)
		}
		lines = rest
	}
	b.tell()
	return nil
}

// Lines are the entries after a sequence as they stand in the file, whole lines of at most limit bytes
// unless the first alone is longer, and the head behind them.
func (b *Book) Lines(after uint64, limit int) ([]byte, Head, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if after >= b.head.Seq {
		return nil, b.head, nil
	}
	last := after + 1
	end := func(seq uint64) int64 {
		if seq == b.head.Seq {
			return b.size
		}
		return b.offsets[seq]
	}
	start := b.offsets[after]
	for last < b.head.Seq && end(last+1)-start <= int64(limit) {
		last++
	}
	lines := make([]byte, end(last)-start)
	if _, err := b.file.ReadAt(lines, start); err != nil {
		return nil, Head{}, fmt.Errorf("read ledger entries from %d: %w", after+1, err)
	}
	r, err := b.read(last)
	return lines, r.Head, err
}

// Cut moves the entries behind a head aside, into a file of their own beside the ledger: they were never
// committed, and the other copy went on without them. Committed ones are never moved: that is [ErrForked].
func (b *Book) Cut(term uint64, by string, to Head) error {
	b.post.Lock()
	defer b.post.Unlock()
	if err := b.promised(term, by); err != nil {
		return err
	}
	at, err := b.HeadAt(to.Seq)
	switch {
	case err != nil:
		return err
	case at != to:
		return fmt.Errorf("%w: entry %d is another one", ErrBehind, to.Seq)
	case b.standing.Committed.Seq > to.Seq:
		return fmt.Errorf("%w (entries up to %d were committed here, the other copy parts after %d)", ErrForked, b.standing.Committed.Seq, to.Seq)
	case to == b.head:
		return nil
	}
	start := b.offsets[to.Seq]
	tail := make([]byte, b.size-start)
	if _, err := b.file.ReadAt(tail, start); err != nil {
		return fmt.Errorf("move ledger entries aside: %w", err)
	}
	aside := filepath.Join(b.dir, fmt.Sprintf("aside-%d-%d.log", to.Seq+1, time.Now().UnixNano()))
	if err := writeWhole(aside, tail); err != nil {
		return fmt.Errorf("move ledger entries aside: %w", err)
	}
	b.log.Warn().Uint64("from", to.Seq+1).Uint64("to", b.head.Seq).Str("file", aside).
		Msg("ledger entries that were never committed were moved aside: the other ledger went on without them")
	if err := b.file.Truncate(start); err != nil {
		b.fail(fmt.Errorf("cut the ledger: %w", err))
		return b.broken
	}
	if err := b.file.Sync(); err != nil {
		b.fail(fmt.Errorf("cut the ledger: %w", err))
		return b.broken
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.head, b.size, b.offsets, b.recent = Head{}, 0, nil, nil
	b.keys, b.balances, b.docs = make(map[string]key), make(balances), make(map[string]map[string]docPlace)
	if err := b.load(filepath.Join(b.dir, fileName)); err != nil {
		b.broken = err
		return err
	}
	b.tell()
	return nil
}
