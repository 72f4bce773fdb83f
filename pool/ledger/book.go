package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
)

// Options say where a book lies.
type Options struct {
	Dir  string // made when it is missing
	Pool string // id; entries of another pool are refused
	Log  zerolog.Logger

	// wrap lets tests stand between the book and its file.
	wrap func(file) file
}

// Book is one pool's ledger: the single writer of its directory. Its methods may be called from any
// goroutine.
type Book struct {
	pool string
	log  zerolog.Logger
	lock *os.File // static

	// post is held for the whole of a change, its commitment included, and taken before mu. Whoever holds it
	// may read what mu guards; all else happens under mu, so that readers never wait for another disk.
	post   sync.Mutex
	commit Commit // guarded by post
	dir    string // static

	mu       sync.Mutex
	file     file
	size     int64 // bytes of ledger.log that hold entries
	term     uint64
	head     Head
	offsets  []int64 // of entry seq-1
	keys     map[string]key
	balances balances
	docs     map[string]map[string]docPlace
	changed  chan struct{}
	broken   error // set once the file's end is not known any more, or not committed
	standing standing
	recent   []Record // what the last PostAll entered: readers need not read it back
	closed   bool
	until    uint64 // of a view: where it ends; 0 for all there is
	torn     int    // of a view: bytes behind the last entry that are none yet
}

type key struct {
	seq    uint64
	digest [16]byte
}

type docPlace struct {
	seq  uint64
	rank int64
}

// ErrClosed reports a use of a book after Close.
var ErrClosed = errors.New("ledger is closed")

// fileName is the book's one file.
const fileName = "ledger.log"

// Open reads and checks the whole book in o.Dir, cuts a torn last line, and starts the term after the
// highest in it. A directory that another process has open is refused.
func Open(o Options) (*Book, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the ledger's directory: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, fileName)
	f, err := openFile(path)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	b := &Book{
		pool: o.Pool, log: o.Log, lock: lock, file: f, dir: o.Dir,
		keys: make(map[string]key), balances: make(balances),
		docs: make(map[string]map[string]docPlace), changed: make(chan struct{}),
	}
	if o.wrap != nil {
		b.file = o.wrap(f)
	}
	if err := errors.Join(b.loadStanding(), b.load(path)); err != nil {
		return nil, errors.Join(err, f.Close(), lock.Close())
	}
	b.term = max(b.head.Term, b.standing.Term) + 1
	return b, nil
}

// load folds the file.
func (b *Book) load(path string) error {
	r := newLineReader(b.file, 0)
	for {
		if b.until != 0 && b.head.Seq == b.until {
			return nil
		}
		line, offset, err := r.next()
		if errors.Is(err, errTorn) && b.lock == nil {
			return b.tornView(line, offset, path)
		}
		if errors.Is(err, errTorn) {
			b.log.Warn().Str("file", path).Int64("offset", offset).Int("bytes", len(line)).
				Msg("cut a torn last line that was never acknowledged")
			if err := b.file.Truncate(offset); err != nil {
				return fmt.Errorf("cut the torn end of %s at %d: %w", path, offset, err)
			}
			if err := b.file.Sync(); err != nil {
				return fmt.Errorf("cut the torn end of %s at %d: %w", path, offset, err)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s at %d: %w", path, offset, err)
		}
		if line == nil {
			return nil
		}
		if err := b.loadLine(line, offset); err != nil {
			return fmt.Errorf("%s line %d, offset %d: %w", path, len(b.offsets)+1, offset, err)
		}
	}
}

func (b *Book) loadLine(line []byte, offset int64) error {
	e, hash, err := parseLine(line, b.head.Hash)
	if err != nil {
		return err
	}
	switch {
	case e.Seq != b.head.Seq+1:
		return fmt.Errorf("%w: sequence %d after %d", ErrEntry, e.Seq, b.head.Seq)
	case e.Term < b.head.Term || e.Term == 0:
		return fmt.Errorf("%w: term %d after %d", ErrEntry, e.Term, b.head.Term)
	case e.Pool != b.pool:
		return fmt.Errorf("%w: pool %q, this book is %q's", ErrEntry, e.Pool, b.pool)
	}
	if _, known := b.keys[e.Key]; known {
		return fmt.Errorf("%w: key %q twice", ErrEntry, e.Key)
	}
	digest := e.digest()
	after, err := b.balances.changes(&e)
	if err != nil {
		return err
	}
	b.apply(&e, after, digest, hash, offset)
	b.size = offset + int64(len(line)) + 1
	return nil
}

// apply enters e, which is on disk at offset, into the fold.
func (b *Book) apply(e *Entry, after balances, digest [16]byte, hash [32]byte, offset int64) {
	maps.Copy(b.balances, after)
	b.keys[e.Key] = key{e.Seq, digest}
	b.offsets = append(b.offsets, offset)
	b.head = Head{Seq: e.Seq, Term: e.Term, Hash: hash}
	if e.Subject != nil {
		set := b.docs[e.Subject.Set]
		if set == nil {
			set = make(map[string]docPlace)
			b.docs[e.Subject.Set] = set
		}
		set[e.Subject.ID] = docPlace{e.Seq, e.Subject.Rank}
	}
}

// SetTermFloor raises the term to above one that was seen elsewhere. It is called before the first Post.
func (b *Book) SetTermFloor(term uint64) {
	b.post.Lock()
	defer b.post.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.term = max(b.term, term+1)
}

// Term is what entries posted now carry.
func (b *Book) Term() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.term
}

// Post appends e and returns it with V, Seq, Term, Pool and, when it was 0, Time filled in. It is on
// disk, fsynced, when Post returns. A key that is known with the same kind, subject, postings and body
// gives the stored entry and [ErrExists]; with other content [ErrKeyReuse]. After an error nothing was
// posted, unless the file itself failed: then the book refuses everything until it is opened again.
func (b *Book) Post(e Entry) (Entry, error) {
	posted, err := b.PostAll([]Entry{e})
	if len(posted) == 1 {
		return posted[0], err
	}
	return Entry{}, err
}

// PostAll appends several entries with one fsync. Entries that exist already are skipped (the stored
// ones are returned in their place) and [ErrExists] is returned only when all of them do. On any other
// error nothing was posted. After a crash in the middle the first few of them may be there.
func (b *Book) PostAll(entries []Entry) ([]Entry, error) {
	b.post.Lock()
	defer b.post.Unlock()
	if err := b.writable(); err != nil {
		return nil, err
	}
	if b.standing.Term > b.term {
		return nil, fmt.Errorf("post to the ledger in term %d: %w %d of %s", b.term, ErrTerm, b.standing.Term, b.standing.By)
	}
	batch := newBatch(b)
	out := make([]Entry, 0, len(entries))
	for i := range entries {
		e, err := batch.add(entries[i])
		if err != nil {
			return nil, fmt.Errorf("post %s %s: %w", entries[i].Kind, entries[i].Key, err)
		}
		out = append(out, e)
	}
	if len(batch.staged) == 0 {
		if len(entries) == 0 {
			return nil, nil
		}
		return out, ErrExists
	}
	if err := b.write(batch.lines); err != nil {
		return nil, err
	}
	records := batch.records()
	if b.commit != nil {
		if err := b.commit(b.head, records, batch.lines); err != nil {
			b.fail(fmt.Errorf("ledger entries from %d are on this disk and not committed: %w", b.head.Seq+1, err))
			return nil, b.broken
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range batch.staged {
		b.apply(&s.entry, s.after, s.digest, s.hash, b.size+s.offset)
	}
	b.size += int64(len(batch.lines))
	b.recent = records
	b.tell()
	return out, nil
}

// tell wakes whoever waits for a change. It is called under mu.
func (b *Book) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// fail makes the book refuse everything that changes it. It is called under post.
func (b *Book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

// writable says why the book cannot be changed, nil when it can.
func (b *Book) writable() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.lock == nil:
		return ErrView
	case b.broken != nil:
		return fmt.Errorf("post to the ledger: %w", b.broken)
	}
	return nil
}

// write puts lines at the end of the file, durably. A write that failed is taken back; when that fails
// too, or the fsync did, the end of the file is unknown and the book is broken.
func (b *Book) write(lines []byte) error {
	if _, err := b.file.WriteAt(lines, b.size); err != nil {
		err = fmt.Errorf("write the ledger: %w", err)
		if cut := b.file.Truncate(b.size); cut != nil {
			b.fail(err)
		}
		return err
	}
	if err := b.file.Sync(); err != nil {
		b.fail(fmt.Errorf("fsync the ledger: %w", err))
		return b.broken
	}
	return nil
}

// Balance is the balance of an account, 0 when nothing was ever posted to it.
func (b *Book) Balance(a Account) pool.Amount {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.balances[a]
}

// Balances yields every account that was ever posted to, by name, as of the call.
func (b *Book) Balances() iter.Seq2[Account, pool.Amount] {
	b.mu.Lock()
	all := maps.Clone(b.balances)
	b.mu.Unlock()
	return func(yield func(Account, pool.Amount) bool) {
		for _, account := range slices.Sorted(maps.Keys(all)) {
			if !yield(account, all[account]) {
				return
			}
		}
	}
}

// Snapshot returns the balance of every account that was ever posted to, and the entry that they are as of.
func (b *Book) Snapshot() (map[Account]pool.Amount, Head) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.balances), b.head
}

// Head is the last entry's place.
func (b *Book) Head() Head {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.head
}

// Changed returns a channel that is closed by the next successful Post.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Close gives the directory free. Entries are durable already.
func (b *Book) Close() error {
	b.post.Lock()
	defer b.post.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.lock == nil {
		return b.file.Close()
	}
	return errors.Join(b.file.Close(), b.lock.Close())
}

// batch stages entries upon a book's fold without changing it.
type batch struct {
	book   *Book
	head   Head
	lines  []byte
	staged []staged
	keys   map[string]key
	after  balances
}

type staged struct {
	entry  Entry
	after  balances
	digest [16]byte
	hash   [32]byte
	offset int64 // within the batch's lines
}

// records are the staged entries with their places.
func (t *batch) records() []Record {
	out := make([]Record, len(t.staged))
	for i := range t.staged {
		s := &t.staged[i]
		out[i] = Record{s.entry, Head{Seq: s.entry.Seq, Term: s.entry.Term, Hash: s.hash}}
	}
	return out
}

func newBatch(b *Book) *batch {
	return &batch{book: b, head: b.head, keys: make(map[string]key), after: make(balances)}
}

// add checks e and stages it, or returns the stored entry of the same key.
func (t *batch) add(e Entry) (Entry, error) {
	b := t.book
	e.V, e.Term, e.Pool, e.Seq = Version, b.term, b.pool, t.head.Seq+1
	if e.Time == 0 {
		e.Time = time.Now().UnixMilli()
	}
	if err := e.check(); err != nil {
		return Entry{}, err
	}
	if e.Body != nil { // as it will be read back
		var compact bytes.Buffer
		if err := json.Compact(&compact, e.Body); err != nil {
			return Entry{}, fmt.Errorf("%w: body: %w", ErrEntry, err)
		}
		e.Body = compact.Bytes()
	}
	digest := e.digest()
	known, ok := b.keys[e.Key]
	if k, staged := t.keys[e.Key]; staged {
		known, ok = k, true
	}
	if ok {
		if known.digest != digest {
			return Entry{}, fmt.Errorf("stored as entry %d: %w", known.seq, ErrKeyReuse)
		}
		if known.seq > b.head.Seq {
			return t.staged[known.seq-b.head.Seq-1].entry, nil
		}
		r, err := b.read(known.seq)
		return r.Entry, err
	}
	after, err := t.changes(&e)
	if err != nil {
		return Entry{}, err
	}
	body, err := encode(e)
	if err != nil {
		return Entry{}, err
	}
	if len(body) > maxLine-hashDigits-2 {
		return Entry{}, fmt.Errorf("%w: %d bytes", ErrEntry, len(body))
	}
	s := staged{entry: e, after: after, digest: digest, offset: int64(len(t.lines))}
	t.lines, s.hash = appendLine(t.lines, body, t.head.Hash)
	t.head = Head{Seq: e.Seq, Term: e.Term, Hash: s.hash}
	t.staged = append(t.staged, s)
	t.keys[e.Key] = key{e.Seq, digest}
	maps.Copy(t.after, after)
	return e, nil
}

// changes is [balances.changes] on top of what the batch staged before.
func (t *batch) changes(e *Entry) (balances, error) {
	if len(t.after) == 0 {
		return t.book.balances.changes(e)
	}
	base := make(balances, 2*len(e.Postings))
	for _, p := range e.Postings {
		for _, account := range [2]Account{p.Debit, p.Credit} {
			now, ok := t.after[account]
			if !ok {
				now = t.book.balances[account]
			}
			base[account] = now
		}
	}
	return base.changes(e)
}
