package journal

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	headerFile = "epoch.json"
	endFile    = "end.json"
)

// epochHeader is the content of epoch.json.
type epochHeader struct {
	Version int        `json:"version"`
	Pool    string     `json:"pool"`
	Epoch   string     `json:"epoch"`   // 16 hex digits
	Ordinal uint64     `json:"ordinal"` // counts the epochs of a directory
	Created int64      `json:"created"` // Unix milliseconds
	Before  []epochEnd `json:"before"`  // retained epochs that have blocks, oldest first
}

// epochEnd names the last block of an epoch; it is also the content of end.json.
type epochEnd struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last,string"`
	Hash  string `json:"hash"` // 64 hex digits of the SHA-256
}

// epoch is a directory of segments. Guarded by the journal's mu once it is open.
type epoch struct {
	id       uint64
	ordinal  uint64
	dir      string
	segments []*segment // oldest first
	last     uint64     // of the last good block
	hash     [32]byte   // of the last good block
	damage   error      // why nothing after last is served, nil when nothing is wrong
	unsynced bool       // a removal may not be durable yet; guarded by the journal's release
	known    *epochEnd  // where it once ended, nil when nobody noted it
}

func hex16(epoch uint64) string { return fmt.Sprintf("%016x", epoch) }

func epochDir(dir string, ordinal, id uint64) string {
	return fmt.Sprintf("%s/%08d-%s", dir, ordinal, hex16(id))
}

func (e *epoch) end() epochEnd {
	return epochEnd{Epoch: hex16(e.id), Last: e.last, Hash: hex.EncodeToString(e.hash[:])}
}

// first is the oldest retained sequence, last + 1 when there is none.
func (e *epoch) first() uint64 {
	if len(e.segments) == 0 {
		return e.last + 1
	}
	return e.segments[0].first
}

// loader reads the epochs of a directory and checks all that can be checked.
type loader struct {
	fs    FS
	pool  string                                         // "" accepts any
	visit func(path string, offset int64, b Block) error // may be nil
	// secure is called for the last segment of an epoch whose end nobody noted: it cuts what follows end and
	// makes the last block, which may never have been synced, durable. nil leaves the file alone.
	secure func(path string, lastBlock, end int64) error
}

// load returns the epochs in dir, oldest first. Damage inside one stands in its damage field. The error
// is for what cannot be read at all, for another pool's journal, and for visit's own.
func (l *loader) load(dir string) ([]*epoch, error) {
	names, err := l.fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	var headers []epochHeader
	var dirs []string
	ends := make(map[string]epochEnd)
	for _, name := range names {
		ordinal, id, ok := strings.Cut(name, "-")
		if !ok || len(ordinal) != 8 || len(id) != 16 {
			continue
		}
		h, err := l.header(dir + "/" + name)
		if errors.Is(err, iofs.ErrNotExist) {
			continue // a start that was interrupted before it could write anything
		}
		if err != nil {
			return nil, err
		}
		if h.Epoch != id {
			return nil, &Damage{dir + "/" + name + "/" + headerFile, 0, fmt.Errorf("names epoch %q", h.Epoch)}
		}
		for _, e := range h.Before {
			ends[e.Epoch] = e // the newest word counts
		}
		headers, dirs = append(headers, h), append(dirs, dir+"/"+name)
	}
	var epochs []*epoch
	for i, h := range headers {
		var want []epochEnd
		if e, ok := ends[h.Epoch]; ok {
			want = append(want, e)
		}
		e, err := l.epoch(dirs[i], h, want)
		if err != nil {
			return nil, err
		}
		epochs = append(epochs, e)
	}
	return epochs, nil
}

func (l *loader) header(dir string) (epochHeader, error) {
	var h epochHeader
	path := dir + "/" + headerFile
	raw, err := readFile(l.fs, path)
	if err != nil {
		return h, fmt.Errorf("read journal epoch: %w", err)
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return h, &Damage{path, 0, err}
	}
	if h.Version < 1 || h.Version > Version {
		return h, fmt.Errorf("%s has version %d, this program reads 1 to %d", path, h.Version, Version)
	}
	if l.pool != "" && h.Pool != l.pool {
		return h, fmt.Errorf("%s belongs to pool %q, not to %q", path, h.Pool, l.pool)
	}
	return h, nil
}

// epoch reads one epoch. want says where it is known to end.
func (l *loader) epoch(dir string, h epochHeader, want []epochEnd) (*epoch, error) {
	id, err := strconv.ParseUint(h.Epoch, 16, 64)
	if err != nil || id == 0 {
		return nil, &Damage{dir + "/" + headerFile, 0, fmt.Errorf("epoch %q", h.Epoch)}
	}
	e := &epoch{id: id, ordinal: h.Ordinal, dir: dir}
	raw, err := readFile(l.fs, dir+"/"+endFile)
	if err == nil {
		var end epochEnd
		if err := json.Unmarshal(raw, &end); err != nil {
			return nil, &Damage{dir + "/" + endFile, 0, err}
		}
		want = append(want, end)
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("read journal epoch: %w", err)
	}
	names, err := l.fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list journal epoch: %w", err)
	}
	var firsts []uint64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		if first, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && len(digits) == 20 && first > 0 {
			firsts = append(firsts, first)
		}
	}
	for i, first := range firsts {
		s := newSegment(dir, first)
		if i > 0 && first != e.last+1 {
			e.damage = &Damage{s.path, 0, fmt.Errorf("starts at sequence %d, want %d", first, e.last+1)}
			break
		}
		if err := l.segment(e, h.Pool, s, i == len(firsts)-1 && len(want) == 0); err != nil {
			return nil, err
		}
		if e.damage != nil {
			break
		}
	}
	for _, w := range want {
		e.known = &w
		if len(e.segments) == 0 || e.segments[0].size == 0 && e.last == w.Last { // its blocks were released
			if b, err := hex.DecodeString(w.Hash); err == nil && len(b) == 32 {
				e.last, e.hash = w.Last, [32]byte(b)
			}
			continue
		}
		if e.damage == nil && e.end() != w {
			s := e.segments[len(e.segments)-1]
			e.damage = &Damage{s.path, s.size, fmt.Errorf("the epoch ends at sequence %d, hash %x; it once ended at %d, hash %s", e.last, e.hash, w.Last, w.Hash)}
		}
	}
	return e, nil
}

// segment reads one file into e; open says that its last block may be torn.
func (l *loader) segment(e *epoch, poolID string, s *segment, open bool) error {
	f, err := openRead(l.fs, s.path)
	if err != nil {
		return fmt.Errorf("open journal segment: %w", err)
	}
	defer f.Close()
	retained := len(e.segments) == 0 && s.first > 1 // what came before was released
	if retained {
		e.last = s.first - 1
	}
	var lastBlock int64
	end, err := walk(f, 0, -1, func(offset int64, b Block) error {
		chained := b.Prev == e.hash || retained && s.size == 0
		if b.Epoch != e.id || b.Pool != poolID || b.First != s.last+1 || !chained {
			return fmt.Errorf("%w: block %d of epoch %s, pool %q does not follow block %d", errChain, b.First, hex16(b.Epoch), b.Pool, e.last)
		}
		if l.visit != nil {
			if err := l.visit(s.path, offset, b); err != nil {
				return &visitError{err}
			}
		}
		s.add(&b)
		e.last, e.hash, lastBlock = b.Last(), b.Hash(), offset
		return nil
	})
	if visit := (*visitError)(nil); errors.As(err, &visit) {
		return visit.err
	}
	e.segments = append(e.segments, s)
	if err != nil && open && errors.Is(err, ErrBadBlock) {
		isTorn, tornErr := torn(f, end, e.id)
		if tornErr != nil {
			return fmt.Errorf("read the end of %s: %w", s.path, tornErr)
		}
		if isTorn {
			err = nil
		}
	}
	switch {
	case err != nil:
		e.damage = &Damage{s.path, end, err}
	case open && l.secure != nil:
		if err := l.secure(s.path, lastBlock, end); err != nil {
			return fmt.Errorf("secure the end of %s: %w", s.path, err)
		}
	}
	return nil
}

var errChain = errors.New("broken chain")

type visitError struct{ err error }

func (v *visitError) Error() string { return v.err.Error() }

// create makes the directory and header of a new epoch.
func (e *epoch) create(fs FS, dir string, h epochHeader) error {
	raw, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	if err := fs.MkdirAll(e.dir); err != nil {
		return err
	}
	if err := fs.SyncDir(dir); err != nil {
		return err
	}
	return writeFile(fs, e.dir, headerFile, append(raw, '\n'))
}

// secureTail cuts a segment at end and writes its last block again before the sync: a block that a
// killed process left in the page cache, or whose sync failed, can be read and yet not be on the disk, and
// a second sync of clean pages would not put it there.
func secureTail(fs FS, path string, lastBlock, end int64) error {
	f, err := fs.Open(path, os.O_RDWR)
	if err != nil {
		return err
	}
	err = f.Truncate(end)
	if err == nil && lastBlock < end {
		raw := make([]byte, end-lastBlock)
		if _, err = f.ReadAt(raw, lastBlock); err == nil {
			_, err = f.WriteAt(raw, lastBlock)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(path))
}
