package journal

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"sync/atomic"
)

// A segment that grows with every commit makes the file system commit its own journal each time, behind
// whatever else the disk is writing. So a busy journal has its next segment written full of zeros while the
// present one fills: commits then change bytes that the file has already.
const (
	aheadFile = "next.tmp"
	aheadStep = 1 << 20 // zeros written and synced at once
	aheadRoom = 4       // times a segment that must be free on the disk
)

// ahead is a segment that is being made ready, by a goroutine of its own.
type ahead struct {
	path string
	stop atomic.Bool
	done chan struct{}

	file File // valid after done, nil when there is none
	err  error
}

// prepare begins to make the next segment ready, once.
func (j *Journal) prepare() {
	if j.ahead != nil || j.active.size < j.busy {
		return
	}
	a := &ahead{path: j.current.dir + "/" + aheadFile, done: make(chan struct{})}
	j.ahead = a
	go func() {
		defer close(a.done)
		if a.file, a.err = a.fill(j.fs, j.current.dir, j.segmentBytes); a.err != nil {
			j.log.Debug().Err(a.err).Msg("the next journal segment could not be made ready")
		}
	}()
}

// fill writes zeros. When it fails it leaves nothing behind.
func (a *ahead) fill(fs FS, dir string, size int64) (_ File, err error) {
	free, err := fs.Free(dir)
	if err != nil {
		return nil, fmt.Errorf("ask for room: %w", err)
	}
	if free < aheadRoom*size {
		return nil, fmt.Errorf("%d bytes are free, less than %d segments", free, aheadRoom)
	}
	f, err := fs.Open(a.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), fs.Remove(a.path))
		}
	}()
	zeros := make([]byte, aheadStep)
	for at := int64(0); at < size; at += aheadStep {
		if a.stop.Load() {
			return nil, errors.New("given up")
		}
		if _, err := f.WriteAt(zeros[:min(aheadStep, size-at)], at); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// ready reports whether a segment is waiting.
func (a *ahead) ready() bool {
	if a == nil {
		return false
	}
	select {
	case <-a.done:
		return a.file != nil
	default:
		return false
	}
}

// drop gives a segment up, and its room on the disk back.
func (j *Journal) drop() error {
	a := j.ahead
	if a == nil {
		return nil
	}
	a.stop.Store(true)
	<-a.done
	j.ahead = nil
	if a.file == nil {
		return nil
	}
	if err := errors.Join(a.file.Close(), j.fs.Remove(a.path)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("remove the segment that was made ready: %w", err)
	}
	return nil
}

// solid is the offset behind the last byte of a file that is not zero, from at the least.
func solid(f File, from int64) (int64, error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	buf := make([]byte, min(aheadStep, max(size-from, 0)))
	for end := size; end > from; {
		part := buf[:min(int64(len(buf)), end-from)]
		if n, err := f.ReadAt(part, end-int64(len(part))); n < len(part) {
			return 0, err
		}
		for i := len(part) - 1; i >= 0; i-- {
			if part[i] != 0 {
				return end - int64(len(part)-1-i), nil
			}
		}
		end -= int64(len(part))
	}
	return from, nil
}
