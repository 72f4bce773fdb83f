package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/adit-pool/adit/pool"
)

// probeBytes are written to probeFile and removed before the journal trusts a disk that has failed.
const (
	probeBytes = 64 << 10
	probeFile  = "probe.tmp"
)

// commitLoop is the only writer. It takes the oldest batch, makes it durable and finishes its commit;
// meanwhile the next batch fills. After an I/O error every queued share fails, and so does every new one
// until the disk takes a probe.
func (j *Journal) commitLoop() {
	defer close(j.done)
	for {
		b := j.take()
		if b == nil {
			break
		}
		err := j.write(b)
		if err == nil {
			j.finish(b)
			continue
		}
		j.fail(b, err)
		if !j.recover() {
			break
		}
	}
	j.end()
}

// take waits for the oldest batch; nil when the journal is closing and the queue is empty.
func (j *Journal) take() *batch {
	for {
		j.mu.Lock()
		if len(j.queue) > 0 {
			b := j.queue[0]
			j.queue = slices.Delete(j.queue, 0, 1)
			j.mu.Unlock()
			return b
		}
		closing := j.closing
		j.mu.Unlock()
		if closing {
			return nil
		}
		<-j.wake
	}
}

// write encodes a batch and makes it durable behind the last block. What it leaves behind when it fails
// is past the segment's size and is cut by recover.
func (j *Journal) write(b *batch) error {
	raw, err := j.encoder.Encode(j.raw[:0], j.pool, j.current.id, b.first, j.current.hash, b.shares)
	if err != nil {
		return err
	}
	j.raw = raw
	if j.file == nil || j.active.size >= j.segmentBytes || !j.zeroed && j.ahead.ready() {
		if err := j.roll(b.first); err != nil {
			return err
		}
	}
	if _, err := j.file.WriteAt(raw, j.active.size); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// roll begins a new segment. A file of that name holds nothing: it is left from an attempt that failed.
func (j *Journal) roll(first uint64) error {
	s := newSegment(j.current.dir, first)
	f, zeroed, err := j.begin(s.path)
	if err != nil {
		return fmt.Errorf("begin journal segment: %w", err)
	}
	if err := j.fs.SyncDir(j.current.dir); err != nil {
		return errors.Join(fmt.Errorf("begin journal segment: %w", err), f.Close())
	}
	if j.file != nil {
		if err := j.leave(); err != nil { // its blocks are durable
			j.log.Warn().Err(err).Msg("closing a full journal segment")
		}
	}
	j.file, j.active, j.zeroed = f, s, zeroed
	j.mu.Lock()
	j.current.segments = append(j.current.segments, s)
	j.mu.Unlock()
	return nil
}

// begin takes the segment that was made ready, or makes an empty one.
func (j *Journal) begin(path string) (f File, zeroed bool, err error) {
	if a := j.ahead; a.ready() {
		j.ahead = nil
		if err := j.fs.Rename(a.path, path); err != nil {
			return nil, false, errors.Join(err, a.file.Close())
		}
		return a.file, true, nil
	}
	f, err = j.fs.Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	return f, false, err
}

// leave closes the active segment's file, without the zeros behind its blocks.
func (j *Journal) leave() error {
	var err error
	if j.zeroed {
		err = j.file.Truncate(j.active.size)
	}
	return errors.Join(err, j.file.Close())
}

// finish makes a durable batch visible and tells who waits for it.
func (j *Journal) finish(b *batch) {
	block := Block{Pool: j.pool, Count: len(b.shares), First: b.first, Raw: j.raw}
	hash := block.Hash()
	j.mu.Lock()
	j.active.add(&block)
	j.current.last, j.current.hash = block.Last(), hash
	j.notify()
	if j.spare == nil {
		clear(b.shares) // drop scripts and names
		j.spare = b.shares[:0]
	}
	j.mu.Unlock()
	b.commit.Finish(nil)
	j.prepare()
}

// notify is called with mu held.
func (j *Journal) notify() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// fail ends a batch and all behind it, and refuses new shares.
func (j *Journal) fail(b *batch, err error) {
	j.mu.Lock()
	failed := append([]*batch{b}, j.queue...)
	j.queue = nil
	j.next = b.first
	j.failed = err
	if !j.closing {
		j.refused = refuse(err)
	}
	j.mu.Unlock()
	lost := 0
	for _, b := range failed {
		lost += len(b.shares)
		b.commit.Finish(err)
	}
	j.log.Error().Str(pool.EventField, pool.EventJournalFailed).Err(err).Int("shares", lost).Msg("journal cannot write: shares are refused until the disk is well; blocks still go out")
}

// recover cuts back to the last durable block and tries until the disk takes a probe; false when the
// journal is closing.
func (j *Journal) recover() bool {
	since := time.Now()
	retry := time.NewTicker(j.retry)
	defer retry.Stop()
	for {
		err := j.restore()
		j.mu.Lock()
		closing := j.closing
		if err == nil {
			j.failed = nil
			if !closing {
				j.refused = nil
			}
		} else {
			j.failed = err
			if !closing {
				j.refused = refuse(err)
			}
		}
		j.mu.Unlock()
		if err == nil {
			j.log.Info().Dur("after", time.Since(since)).Msg("journal writes again")
			return true
		}
		for waiting := !closing; waiting; {
			select {
			case <-retry.C:
				waiting = false
			case <-j.wake: // a refused share does not wake; Close does
				j.mu.Lock()
				closing = j.closing
				j.mu.Unlock()
				waiting = !closing
			}
		}
		if closing {
			return false
		}
	}
}

// restore opens the last segment anew, cuts what failed, and probes the disk.
func (j *Journal) restore() error {
	if j.file != nil {
		j.file.Close() // its state is unknown and its durable part safe: the error says nothing new
		j.file = nil
	}
	j.zeroed = false
	if err := j.drop(); err != nil {
		return err
	}
	if j.active == nil {
		if err := j.roll(j.current.last + 1); err != nil {
			return err
		}
	} else {
		f, err := j.fs.Open(j.active.path, os.O_RDWR)
		if err != nil {
			return fmt.Errorf("reopen journal: %w", err)
		}
		j.file = f
	}
	size := j.active.size
	if err := j.file.Truncate(size); err != nil {
		return fmt.Errorf("cut journal back: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("cut journal back: %w", err)
	}
	return j.probe()
}

// probe writes and removes a file. It leaves the segments alone: one that a later one follows must stay
// as it is.
func (j *Journal) probe() error {
	path := j.current.dir + "/" + probeFile
	f, err := j.fs.Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("probe journal disk: %w", err)
	}
	_, err = f.WriteAt(make([]byte, probeBytes), 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close(), j.fs.Remove(path)); err != nil {
		return fmt.Errorf("probe journal disk: %w", err)
	}
	if err := j.fs.SyncDir(j.current.dir); err != nil {
		return fmt.Errorf("probe journal disk: %w", err)
	}
	return nil
}

// end closes the epoch and gives the directory free.
func (j *Journal) end() {
	var errs []error
	if j.file != nil {
		errs = append(errs, j.leave())
	}
	errs = append(errs, j.drop())
	j.mu.Lock()
	failed, end := j.failed, j.current.end()
	j.mu.Unlock()
	if failed == nil && end.Last > 0 {
		raw, err := json.Marshal(end)
		if err == nil {
			err = writeFile(j.fs, j.current.dir, endFile, append(raw, '\n'))
		}
		errs = append(errs, err)
	}
	errs = append(errs, j.lock.Close())
	if err := errors.Join(errs...); err != nil {
		j.mu.Lock()
		j.failed = errors.Join(j.failed, fmt.Errorf("close journal: %w", err))
		j.mu.Unlock()
	}
}
