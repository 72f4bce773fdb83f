package slice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/merkle"
)

const (
	segmentBytes = 256 << 20 // a file is followed by a new one when it has grown above this
	cacheBytes   = 64 << 20  // of recent slices kept in memory
	Suffix       = ".slices"
)

// Log is the chain of closed slices on disk. It is not safe for concurrent use.
type Log struct {
	dir      string
	fs       journal.FS
	log      zerolog.Logger
	segment  int64
	files    []journal.File // in order of their slices
	size     int64          // of the last file
	index    []place        // of slice number-1
	running  running
	chain    merkle.Frontier[struct{}] // over all slices
	head     [32]byte                  // of the last slice
	unsynced bool
	cache    map[uint64]*pool.Slice
	cached   int    // bytes
	oldest   uint64 // in cache
}

// place is where a slice lies.
type place struct {
	file   int32
	length uint32
	offset int64
	score  pool.Work
}

// Damage is an unreadable slice.
type Damage struct {
	File   string
	Offset int64
	Number uint64 // of the slice that should be there
	Err    error
}

// Error names file, offset and slice.
func (d *Damage) Error() string {
	return fmt.Sprintf("slice %d in %s at offset %d: %v", d.Number, d.File, d.Offset, d.Err)
}

// Unwrap gives the cause.
func (d *Damage) Unwrap() error { return d.Err }

// OpenLog reads all slices in dir and shows each to visit. Damage behind slice number durable is cut
// off with all that follows: it was never relied upon. Other damage is an error.
func OpenLog(fs journal.FS, dir string, durable uint64, log zerolog.Logger, visit func(*Slice) error) (_ *Log, err error) {
	f := &Log{dir: dir, fs: fs, log: log, segment: segmentBytes, cache: make(map[uint64]*pool.Slice)}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("make the directory of slices: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list slices: %w", err)
	}
	cut := false
	for _, name := range names {
		if !strings.HasSuffix(name, Suffix) {
			continue
		}
		path := filepath.Join(dir, name)
		if cut {
			if err := fs.Remove(path); err != nil {
				return nil, fmt.Errorf("remove slices behind a cut: %w", err)
			}
			continue
		}
		if cut, err = f.load(path, name, durable, visit); err != nil {
			return nil, err
		}
	}
	if uint64(len(f.index)) < durable {
		return nil, fmt.Errorf("slices in %s end at %d, the ledger or the checkpoint knows slice %d: restore the directory", dir, len(f.index), durable)
	}
	f.unsynced = len(f.files) > 0 // whoever wrote the end may not have lived to fsync it
	return f, fs.SyncDir(dir)
}

// load reads one file; cut says that its end was taken off.
func (f *Log) load(path, name string, durable uint64, visit func(*Slice) error) (cut bool, err error) {
	next := uint64(len(f.index)) + 1
	first, err := strconv.ParseUint(strings.TrimSuffix(name, Suffix), 10, 64)
	if err != nil || first != next {
		return false, fmt.Errorf("file %s is out of order: slice %d comes next", path, next)
	}
	file, err := f.fs.Open(path, os.O_RDWR)
	if err != nil {
		return false, fmt.Errorf("open slices: %w", err)
	}
	f.files = append(f.files, file)
	f.size = 0
	total, err := file.Size()
	if err != nil {
		return false, fmt.Errorf("open slices: %w", err)
	}
	for f.size < total {
		s, record, err := f.readAt(file, f.size, total)
		if err == nil && (s.Number != uint64(len(f.index))+1 || s.Prev != f.head || s.Reason == ReasonOpen) {
			err = fmt.Errorf("%w: hash chain is broken", ErrSlice)
		}
		if err != nil {
			number := uint64(len(f.index)) + 1
			damage := &Damage{path, f.size, number, err}
			if number <= durable || !errors.Is(err, ErrSlice) {
				return false, damage
			}
			f.log.Warn().Err(damage).Msg("cut slices that nothing relies on; they are folded again")
			if err := errors.Join(file.Truncate(f.size), file.Sync()); err != nil {
				return false, fmt.Errorf("cut %s: %w", path, err)
			}
			return true, nil
		}
		f.enter(s, len(record), Hash(record))
		if err := visit(s); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (f *Log) readAt(file journal.File, offset, total int64) (*Slice, []byte, error) {
	var frame [4]byte
	if total-offset < fixedSize {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrSlice, total-offset)
	}
	if _, err := file.ReadAt(frame[:], offset); err != nil {
		return nil, nil, err
	}
	n := int64(binary.LittleEndian.Uint32(frame[:]))
	if n < fixedSize || n > min(total-offset, maxSlice) {
		return nil, nil, fmt.Errorf("%w: length %d", ErrSlice, n)
	}
	record := make([]byte, n)
	if _, err := file.ReadAt(record, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	s, err := Parse(record)
	return s, record, err
}

// enter notes a slice that stands at the end of the last file.
func (f *Log) enter(s *Slice, length int, hash [32]byte) {
	f.index = append(f.index, place{int32(len(f.files) - 1), uint32(length), f.size, s.Score})
	f.size += int64(length)
	f.head = hash
	_ = f.chain.Add(ChainLeaf(s.Number, hash, s.Root), ChainJoin) // nothing is summed: it does not fail
	f.cache[s.Number] = &s.Slice
	f.cached += sliceMemory(&s.Slice)
	if f.oldest == 0 {
		f.oldest = s.Number
	}
	for f.cached > cacheBytes && f.oldest < s.Number {
		f.cached -= sliceMemory(f.cache[f.oldest])
		delete(f.cache, f.oldest)
		f.oldest++
	}
}

func sliceMemory(s *pool.Slice) int { return 128 + len(s.Weight)*40 }

// Append writes a closed slice behind the others. It is durable after the next sync.
func (f *Log) Append(s *Slice) error {
	record, err := s.AppendBinary(nil)
	if err != nil {
		return err
	}
	copy(s.Root[:], record[rootOffset:])
	if len(f.files) == 0 || f.size > f.segment {
		if err := f.rotate(s.Number); err != nil {
			return err
		}
	}
	if _, err := f.files[len(f.files)-1].WriteAt(record, f.size); err != nil {
		return fmt.Errorf("write slice %d: %w", s.Number, err)
	}
	f.unsynced = true
	f.enter(s, len(record), Hash(record))
	return nil
}

// rotate begins a new file; the one before it is made durable first.
func (f *Log) rotate(first uint64) error {
	if err := f.Sync(); err != nil {
		return err
	}
	path := filepath.Join(f.dir, fmt.Sprintf("%020d%s", first, Suffix))
	file, err := f.fs.Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("begin a file of slices: %w", err)
	}
	f.files, f.size = append(f.files, file), 0
	if err := f.fs.SyncDir(f.dir); err != nil {
		return fmt.Errorf("begin a file of slices: %w", err)
	}
	return nil
}

// Sync makes all slices durable.
func (f *Log) Sync() error {
	if !f.unsynced {
		return nil
	}
	if err := f.files[len(f.files)-1].Sync(); err != nil {
		return fmt.Errorf("fsync slices: %w", err)
	}
	f.unsynced = false
	return nil
}

// Last is the number of the newest closed slice, 0 when there is none.
func (f *Log) Last() uint64 { return uint64(len(f.index)) }

// Head is the hash of the newest closed slice, zeros when there is none.
func (f *Log) Head() [32]byte { return f.head }

// Chain is the number of closed slices and the root of the tree over all of them.
func (f *Log) Chain() (count uint64, root merkle.Hash) {
	node, _ := f.chain.Root(ChainJoin) // nothing is summed: it does not fail
	return f.chain.Count(), node.Hash
}

// Score is the score of one closed slice, 1 to Last.
func (f *Log) Score(number uint64) pool.Work { return f.index[number-1].score }

// Slice gives the sums of one slice, from memory or from disk. It must not be changed.
func (f *Log) Slice(number uint64) (*pool.Slice, error) {
	if s := f.cache[number]; s != nil {
		return s, nil
	}
	s, err := f.Read(number)
	if err != nil {
		return nil, err
	}
	return &s.Slice, nil
}

// Read reads one slice whole from disk.
func (f *Log) Read(number uint64) (*Slice, error) {
	if number == 0 || number > f.Last() {
		return nil, fmt.Errorf("slice %d: the last is %d", number, f.Last())
	}
	at := f.index[number-1]
	s, _, err := f.readAt(f.files[at.file], at.offset, at.offset+int64(at.length))
	if err == nil && s.Number != number {
		err = fmt.Errorf("%w: slice %d stands in its place", ErrSlice, s.Number)
	}
	if err != nil {
		return nil, fmt.Errorf("read slice %d at offset %d: %w", number, at.offset, err)
	}
	return s, nil
}

// Hash is the chained hash of one slice.
func (f *Log) Hash(number uint64) ([32]byte, error) {
	if number == 0 || number > f.Last() {
		return [32]byte{}, fmt.Errorf("slice %d: the last is %d", number, f.Last())
	}
	at := f.index[number-1]
	_, record, err := f.readAt(f.files[at.file], at.offset, at.offset+int64(at.length))
	if err != nil {
		return [32]byte{}, fmt.Errorf("read slice %d at offset %d: %w", number, at.offset, err)
	}
	return Hash(record), nil
}

// Close gives the files back; what is not synced may be lost.
func (f *Log) Close() error {
	var err error
	for _, file := range f.files {
		err = errors.Join(err, file.Close())
	}
	f.files = nil
	return err
}
