package journal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"

	"github.com/adit-pool/adit/pool"
)

// EpochInfo says what is retained of one epoch.
type EpochInfo struct {
	Epoch       uint64
	First, Last uint64 // oldest retained and newest durable sequence; First is Last + 1 when nothing is retained
	Bytes       int64
	Current     bool  // the epoch that this run writes
	Damage      error // why an earlier epoch ends at Last, nil when nothing is wrong
}

// Durable is the last durable sequence of the current epoch, 0 before the first.
func (j *Journal) Durable() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.current.last
}

// Changed is closed when something more has become durable than at the time of the call.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return j.changed
}

// Epochs lists the retained epochs, oldest first; the current one is the last.
func (j *Journal) Epochs() []EpochInfo {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]EpochInfo, len(j.epochs))
	for i, e := range j.epochs {
		list[i] = EpochInfo{Epoch: e.id, First: e.first(), Last: e.last, Current: e == j.current, Damage: e.damage}
		for _, s := range e.segments {
			list[i].Bytes += s.size
		}
	}
	return list
}

// ErrNoEpoch reports an epoch of which nothing is retained.
var ErrNoEpoch = errors.New("journal does not have this epoch")

// Read returns durable blocks of an epoch, oldest first, beginning with the one that holds the oldest
// retained sequence above afterSeq: at least one when there is one, more while they stay within
// maxBytes. The error is ErrNoEpoch, or says which file could not be read.
func (j *Journal) Read(id, afterSeq uint64, maxBytes int) ([]Block, error) {
	for {
		path, offset, limit, err := j.locate(id, afterSeq)
		if path == "" {
			return nil, err
		}
		blocks, err := readBlocks(j.fs, path, offset, limit, afterSeq, maxBytes)
		if errors.Is(err, iofs.ErrNotExist) {
			if again, _, _, _ := j.locate(id, afterSeq); again != path {
				continue // released meanwhile
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read journal %s: %w", path, err)
		}
		return blocks, nil
	}
}

// locate returns the file that holds the first sequence after afterSeq, where to begin in it and how
// far it is good; no path when there is nothing to read.
func (j *Journal) locate(id, afterSeq uint64) (path string, offset, limit int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.find(id)
	if e == nil {
		return "", 0, 0, fmt.Errorf("%w: %s", ErrNoEpoch, hex16(id))
	}
	if afterSeq >= e.last {
		return "", 0, 0, nil
	}
	for _, s := range e.segments {
		if s.size > 0 && s.last > afterSeq {
			return s.path, s.seek(afterSeq + 1), s.size, nil
		}
	}
	return "", 0, 0, nil
}

// find is called with mu held.
func (j *Journal) find(id uint64) *epoch {
	for _, e := range j.epochs {
		if e.id == id {
			return e
		}
	}
	return nil
}

func readBlocks(fs FS, path string, offset, limit int64, afterSeq uint64, maxBytes int) (blocks []Block, err error) {
	f, err := openRead(fs, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	total := 0
	_, err = walk(f, offset, limit, func(_ int64, b Block) error {
		if b.Last() <= afterSeq {
			return nil
		}
		if total += len(b.Raw); total > maxBytes && len(blocks) > 0 {
			return errStop
		}
		b.Raw = slices.Clone(b.Raw)
		blocks = append(blocks, b)
		if total >= maxBytes {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("no block after %d: %w", afterSeq, io.ErrUnexpectedEOF)
	}
	return blocks, nil
}

// Release says that the shares of an epoch up to throughSeq are committed to the ledger. Whole segments
// of which nothing else is left are deleted, oldest first, and an earlier epoch that has none left with
// them. The segment in use stays, and so does what is damaged.
func (j *Journal) Release(id, throughSeq uint64) error {
	j.release.Lock()
	defer j.release.Unlock()
	for {
		j.mu.Lock()
		e := j.find(id)
		if e == nil {
			j.mu.Unlock()
			return nil // released before
		}
		current := e == j.current
		n := len(e.segments)
		keep := n == 0 || e.segments[0].last > throughSeq || n == 1 && (current || e.damage != nil)
		if keep && !(n == 0 && !current && e.damage == nil) {
			j.mu.Unlock()
			return nil
		}
		if n == 0 {
			j.epochs = slices.DeleteFunc(j.epochs, func(x *epoch) bool { return x == e })
			j.mu.Unlock()
			return j.removeEpoch(e)
		}
		s := e.segments[0]
		e.segments = slices.Delete(e.segments, 0, 1) // no reader begins with it any more
		j.mu.Unlock()
		if err := j.removeSegment(e, s); err != nil {
			return fmt.Errorf("release journal segment: %w", err)
		}
	}
}

// removeSegment deletes the oldest file of an epoch. No later one may go before it, so it is oldest
// again when that fails, and its removal is durable before the next one is tried.
func (j *Journal) removeSegment(e *epoch, s *segment) error {
	var err error
	if e.unsynced {
		err = j.fs.SyncDir(e.dir)
	}
	if err == nil {
		err = j.fs.Remove(s.path)
	}
	if err != nil {
		j.mu.Lock()
		e.segments = slices.Insert(e.segments, 0, s)
		j.mu.Unlock()
		return err
	}
	e.unsynced = true
	if err := j.fs.SyncDir(e.dir); err != nil {
		return err
	}
	e.unsynced = false
	return nil
}

// removeEpoch deletes the directory of an epoch that has no shares left. The header goes last but one:
// a directory without it is skipped by Open.
func (j *Journal) removeEpoch(e *epoch) error {
	names, err := j.fs.List(e.dir)
	if err != nil {
		return fmt.Errorf("remove journal epoch: %w", err)
	}
	for _, name := range names {
		if err := j.fs.Remove(e.dir + "/" + name); err != nil {
			return fmt.Errorf("remove journal epoch: %w", err)
		}
	}
	if err := j.fs.Remove(e.dir); err != nil {
		return fmt.Errorf("remove journal epoch: %w", err)
	}
	return j.fs.SyncDir(j.dir)
}

// Scan reads every good block in a journal directory, epoch by epoch from the oldest, without locking
// it: it may be in use. An interrupted last block is skipped. Errors of fn end it and are returned as
// they are; damage does not end it, and all that was found is returned as joined [Damage] errors that
// name file and offset.
func Scan(dir string, fn func(Block, []pool.Share) error) error {
	var decoder Decoder
	var shares []pool.Share
	var damage []error
	l := &loader{fs: Disk{}, visit: func(path string, offset int64, b Block) (err error) {
		b, shares, err = decoder.DecodeAppend(shares[:0], b.Raw)
		if err != nil {
			damage = append(damage, &Damage{path, offset, err})
			return nil
		}
		return fn(b, shares)
	}}
	epochs, err := l.load(dir)
	for _, e := range epochs {
		if e.damage != nil {
			damage = append(damage, e.damage)
		}
	}
	return errors.Join(append(damage, err)...)
}
