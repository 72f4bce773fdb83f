package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
)

// Options say where a journal is and how it is kept.
type Options struct {
	Dir          string
	Pool         string        // pool id
	SegmentBytes int64         // size at which a new segment is begun, default 64 MiB
	Retry        time.Duration // between attempts to write again after an I/O error, default 1 s
	Log          zerolog.Logger
	FS           FS // default Disk

	busy int64 // bytes in a segment from which the next is made ready, default 1 MiB; set by tests
}

// ErrClosed is the fate of a share that came after Close.
var ErrClosed = errors.New("journal is closed")

// ErrBehind is the fate of a share that came while the disk was too far behind.
var ErrBehind = errors.New("journal disk does not keep up")

const (
	defaultSegment = 64 << 20
	defaultRetry   = time.Second
	defaultBusy    = 1 << 20
	maxQueued      = 16 // batches waiting for the disk; beyond them shares are refused
	batchBytes     = MaxBlock - headerSize - maxPoolID
)

// batch is a block in the making.
type batch struct {
	first  uint64
	shares []pool.Share
	bytes  int
	commit *pool.Commit
}

// Journal is one pool's share log of one edge. Its methods may be called from any goroutine.
type Journal struct {
	// static
	dir, pool    string
	segmentBytes int64
	busy         int64
	retry        time.Duration
	log          zerolog.Logger
	fs           FS
	lock         io.Closer
	damage       error         // of earlier epochs, found by Open
	wake         chan struct{} // one token: the queue or closing has changed
	done         chan struct{} // closed when commitLoop has ended

	// owned by commitLoop once it runs; current's fields are written with mu held
	current *epoch
	active  *segment // last of current, nil before the first share
	file    File     // of active, nil when it could not be opened
	zeroed  bool     // active was made ready ahead: it ends in zeros
	ahead   *ahead   // the segment after it; nil when the journal is not busy
	encoder Encoder
	raw     []byte

	release sync.Mutex // held by Release alone, so that segments go in order; taken before mu

	mu      sync.Mutex // guards all below
	epochs  []*epoch   // oldest first; the last is current
	queue   []*batch   // oldest first; the last takes shares
	spare   []pool.Share
	next    uint64       // sequence of the next share
	failed  error        // why nothing can be written now
	refused *pool.Commit // fate of shares while failed or closing
	closing bool
	changed chan struct{} // closed when something becomes durable; nil when nobody waits
}

// Open locks the directory, verifies what earlier runs left in it and begins a new epoch. Damage in an
// earlier epoch is logged as an error and told by [Journal.Damage]; it does not keep the journal from
// opening. Close must be called.
func Open(o Options) (*Journal, error) {
	if o.FS == nil {
		o.FS = Disk{}
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegment
	}
	if o.Retry <= 0 {
		o.Retry = defaultRetry
	}
	if o.busy <= 0 {
		o.busy = defaultBusy
	}
	if !validPool([]byte(o.Pool)) {
		return nil, fmt.Errorf("open journal: pool id %q", o.Pool)
	}
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	lock, err := o.FS.Lock(o.Dir + "/lock")
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{
		dir: o.Dir, pool: o.Pool, segmentBytes: o.SegmentBytes, busy: o.busy, retry: o.Retry, log: o.Log, fs: o.FS, lock: lock,
		wake: make(chan struct{}, 1), done: make(chan struct{}), next: 1,
	}
	if err := j.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", o.Dir, err), lock.Close())
	}
	go j.commitLoop()
	return j, nil
}

// open reads the earlier epochs and makes the new one.
func (j *Journal) open() error {
	l := &loader{fs: j.fs, pool: j.pool, secure: j.secure}
	found, err := l.load(j.dir)
	if err != nil {
		return err
	}
	header := epochHeader{Version: Version, Pool: j.pool, Ordinal: 1, Created: time.Now().UnixMilli()}
	var damage []error
	for _, e := range found {
		if err := j.fs.Remove(e.dir + "/" + aheadFile); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("remove what was left of an earlier run: %w", err)
		}
		header.Ordinal = e.ordinal + 1
		if e.damage != nil {
			damage = append(damage, e.damage)
			j.log.Error().Str(pool.EventField, pool.EventJournalDamaged).Err(e.damage).Str("epoch", hex16(e.id)).Uint64("last_good", e.last).
				Msg("journal of an earlier run is damaged: its shares after this place are not forwarded; restore the file from a copy")
		}
		if e.damage == nil && e.first() > e.last { // nothing left in it
			if err := j.removeEpoch(e); err != nil {
				return err
			}
			continue
		}
		if e.damage == nil {
			header.Before = append(header.Before, e.end())
		} else if e.known != nil { // what it should be once it is restored
			header.Before = append(header.Before, *e.known)
		}
		j.epochs = append(j.epochs, e)
	}
	j.damage = errors.Join(damage...)
	id, err := randomEpoch(found)
	if err != nil {
		return err
	}
	header.Epoch = hex16(id)
	current := &epoch{id: id, ordinal: header.Ordinal, dir: epochDir(j.dir, header.Ordinal, id)}
	if err := current.create(j.fs, j.dir, header); err != nil {
		return fmt.Errorf("begin epoch: %w", err)
	}
	j.current, j.epochs = current, append(j.epochs, current)
	return nil
}

// secure makes the end of the run before durable, and says so when bytes are cut off.
func (j *Journal) secure(path string, lastBlock, end int64) error {
	f, err := openRead(j.fs, path)
	if err != nil {
		return err
	}
	size, err := solid(f, end)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if size > end {
		j.log.Warn().Str("file", path).Int64("offset", end).Int64("bytes", size-end).Msg("interrupted write cut off the end of the journal")
	}
	return secureTail(j.fs, path, lastBlock, end)
}

func randomEpoch(taken []*epoch) (uint64, error) {
	for {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("draw epoch: %w", err)
		}
		id := binary.LittleEndian.Uint64(b[:])
		free := id != 0
		for _, e := range taken {
			free = free && e.id != id
		}
		if free {
			return id, nil
		}
	}
}

// Epoch is the id of this run.
func (j *Journal) Epoch() uint64 { return j.current.id }

// Damage is what Open found wrong with earlier epochs, nil when nothing: joined [Damage] errors.
func (j *Journal) Damage() error { return j.damage }

// Append gives s the next sequence and queues a copy of it for the next group commit; s.Script must not
// change afterwards. It never waits for the disk. The commit's error is nil once the share is durable;
// when it is not nil the share is not in the journal, its sequence is given to another one, and s.Seq
// means nothing.
func (j *Journal) Append(s *pool.Share) *pool.Commit {
	if err := check(s); err != nil {
		return refuse(fmt.Errorf("journal: %w", err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.refused != nil {
		return j.refused
	}
	need := room(s)
	var b *batch
	if n := len(j.queue); n > 0 {
		b = j.queue[n-1]
	}
	if b == nil || len(b.shares) == MaxRecords || b.bytes+need > batchBytes {
		if len(j.queue) == maxQueued {
			return refuse(ErrBehind)
		}
		b = &batch{first: j.next, shares: j.spare[:0], commit: pool.NewCommit()}
		j.spare = nil
		j.queue = append(j.queue, b)
	}
	s.Seq = j.next
	j.next++
	b.shares = append(b.shares, *s)
	b.bytes += need
	j.signal()
	return b.commit
}

func refuse(err error) *pool.Commit {
	c := pool.NewCommit()
	c.Finish(err)
	return c
}

func (j *Journal) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Err is why the journal cannot write now, nil when it can.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Close commits what is queued, ends the epoch and gives the directory free. Shares that come later are
// refused with ErrClosed. When ctx ends first, the work goes on behind and ctx's error is returned.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	j.closing = true
	if j.refused == nil {
		j.refused = refuse(ErrClosed)
	}
	j.mu.Unlock()
	j.signal()
	select {
	case <-j.done:
	case <-ctx.Done():
		return fmt.Errorf("close journal: %w", ctx.Err())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}
