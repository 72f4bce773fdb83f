package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/kernels"
)

const (
	nonces    = 1 << 32 // in one header
	maxBatch  = nonces  // hashes between two looks at the clock
	maxFinds  = 16      // nonces found in a batch before they are handed over
	batchTime = 40 * time.Millisecond
)

// search gives the current work to the threads of all devices, which share one
// cursor: each batch of nonces is handed out once.
type search struct {
	kernel kernels.Kernel // the judge of what a device finds
	limit  *Limit
	stats  *Stats
	failed func(d *device, err error) time.Duration // counts an error, says how long to pause
	rolls  bool                                     // every device is a VersionSearcher

	current atomic.Pointer[work] // never nil
	found   chan find            // unbuffered, never closed: a full pool slows the threads

	// extranonce2 counts on over jobs and connections, so that a job the pool
	// sends twice is not searched twice.
	extranonce2 atomic.Uint64
}

// era is the life of a set of jobs: it ends with a clean job, a new extranonce1
// or the connection. What is found after its end is dropped.
type era struct{ over chan struct{} }

func newEra() *era { return &era{over: make(chan struct{})} }

// work is a job as it is being searched, and the cursor of that search.
type work struct {
	// Static after construction; job is nil in idle work.
	job        *job
	era        *era
	extranonce extranonce
	target     [32]byte // big-endian
	difficulty string   // as the pool wrote it
	mask       uint32   // bits of the version to roll, 0 = none
	together   uint64   // versions in a batch; 0 is one
	received   time.Time
	done       chan struct{} // closed when other work takes its place

	// Guarded by mu. The dimensions, innermost first: nonce, version bits,
	// extranonce2, ntime.
	mu        sync.Mutex
	begun     bool
	nonce     uint64 // next one, up to nonces
	version   uint64 // index into the 2^k values of the mask: the batch's first
	first     uint64 // the value of search.extranonce2 that this ntime began with
	batch     batch  // of the header being searched
	exhausted bool   // nothing left at this ntime
}

// batch is a range of nonces in one or more versions of a header, whose version is
// the first of them and whose nonce bytes are not set.
type batch struct {
	header      [80]byte
	versions    []uint32 // not to be written to
	nonce       uint32
	count       uint64 // nonces
	extranonce2 []byte // not to be written to
	ntime       uint32
}

func (b *batch) hashes() uint64 { return b.count * uint64(len(b.versions)) }

// find is a batch with a nonce that meets the target in the version that its header has.
type find struct {
	work   *work
	batch  batch
	nonce  uint32
	device *device
}

// rarely is how often a hash may meet the target at most for several versions to be
// searched at once: whatever is found makes some thousand hashes be looked at again.
const rarely = 1e-6

// together is how many versions to search at once for a share that is this hard: as
// many as pay off, or one where speed does not matter.
func (s *search) together(target *[32]byte) uint64 {
	if !s.rolls || s.limit.Rate() > 0 || chance(target) > rarely {
		return 1
	}
	return kernels.Together
}

func newSearch(kernel kernels.Kernel, limit *Limit, stats *Stats) *search {
	s := &search{kernel: kernel, limit: limit, stats: stats, found: make(chan find)}
	s.failed = func(d *device, err error) time.Duration {
		d.strike(err, time.Now())
		return 0
	}
	s.current.Store(&work{done: make(chan struct{})})
	return s
}

// set gives the threads other work; one goroutine calls it.
func (s *search) set(w *work) {
	w.done = make(chan struct{})
	close(s.current.Swap(w).done)
}

// idle takes all work away.
func (s *search) idle() { s.set(&work{}) }

// run is one thread of d. It returns when ctx ends or d is disabled.
func (s *search) run(ctx context.Context, d *device, thread int) {
	most := uint64(1)
	for d.ready(ctx) {
		w := s.current.Load()
		if w.job == nil {
			select {
			case <-w.done:
			case <-d.ended:
			case <-ctx.Done():
			}
			continue
		}
		// The turn is waited for first and the work looked up after it, so that
		// even at one hash a second a hash is always of the newest job.
		n := s.limit.take(ctx, most)
		if w = s.current.Load(); n == 0 || w.job == nil {
			continue
		}
		b, ok := w.next(n, &s.extranonce2)
		if !ok { // until ntime may advance
			wait(ctx, time.Second, w.done)
			continue
		}
		// A portion of few hashes is made up to a nonce in all versions, and paid for later.
		s.limit.owe(b.hashes() - min(b.hashes(), n))
		begin := time.Now()
		err := s.scan(ctx, d, thread, w, b)
		took := time.Since(begin)
		if err != nil && ctx.Err() == nil {
			wait(ctx, s.failed(d, err), d.ended)
			continue
		}
		switch {
		case took > 2*batchTime:
			most = max(most/2, 1)
		case took < batchTime/2 && b.hashes() > most/2:
			most = min(most*2, maxBatch)
		}
		d.rest(ctx, took)
	}
}

// scan searches b and hands over what it finds, unless w's era ends first. What
// the CPU does not agree with is not handed over but an error of the device.
func (s *search) scan(ctx context.Context, d *device, thread int, w *work, b batch) error {
	type found struct {
		nonce   uint32
		version int
	}
	finds := make([]found, 0, maxFinds)
	note := func(nonce uint32, version int) bool {
		finds = append(finds, found{nonce, version})
		return len(finds) < maxFinds
	}
	for b.count > 0 {
		finds = finds[:0]
		d.begin(thread, time.Now())
		var tried uint64 // nonces
		var err error
		if roller, ok := d.Search.(VersionSearcher); ok && len(b.versions) > 1 {
			tried, err = roller.ScanVersions(ctx, &b.header, b.versions, b.nonce, b.count, &w.target, note)
		} else {
			tried, err = d.Search.Scan(ctx, &b.header, b.nonce, b.count, &w.target, func(nonce uint32) bool { return note(nonce, 0) })
		}
		d.done(thread)
		if err == nil && (tried == 0 || tried > b.count) {
			err = fmt.Errorf("searched %d nonces of %d", tried, b.count)
		}
		if err != nil {
			tried = 0
		}
		hashes := tried * uint64(len(b.versions))
		s.stats.addHashes(hashes)
		for _, f := range finds {
			one, ok := s.right(w, b, f.nonce, f.version)
			if !ok {
				err = errors.Join(err, fmt.Errorf("wrong result: nonce %08x does not meet the target", f.nonce))
				continue
			}
			d.found()
			select {
			case s.found <- find{w, one, f.nonce, d}:
			case <-w.era.over:
				return err
			case <-ctx.Done():
				return err
			}
		}
		err = errors.Join(err, d.searched(hashes, &w.target, time.Now()))
		if err != nil || s.current.Load() != w {
			return err
		}
		b.nonce += uint32(tried)
		b.count -= tried
	}
	return nil
}

// right asks the CPU whether nonce is a share of b in the version of this index, in
// which it gives b.
func (s *search) right(w *work, b batch, nonce uint32, version int) (batch, bool) {
	if uint64(nonce-b.nonce) >= b.count || version < 0 || version >= len(b.versions) {
		return b, false
	}
	b.versions = b.versions[version : version+1]
	binary.LittleEndian.PutUint32(b.header[:], b.versions[0])
	header := b.header
	binary.LittleEndian.PutUint32(header[76:], nonce)
	hash := s.kernel.Hash(&header)
	return b, kernels.Meets(&hash, &w.target)
}

// next hands out up to n hashes, and at least a nonce in all versions of a batch,
// that were never handed out before. counter gives values of extranonce2. ok is false when all is searched for the seconds that
// have passed since the job came.
func (w *work) next(n uint64, counter *atomic.Uint64) (b batch, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.begun {
		w.begun = true
		w.batch.ntime = w.job.ntime
		w.first = counter.Add(1) - 1
		w.setExtranonce2(w.first)
	} else if w.nonce == nonces && !w.advance(counter) {
		return batch{}, false
	}
	b = w.batch
	b.nonce = uint32(w.nonce)
	b.count = min(max(n/uint64(len(b.versions)), 1), nonces-w.nonce)
	w.nonce += b.count
	return b, true
}

// advance goes on to the next header: version bits, then extranonce2, then ntime.
func (w *work) advance(counter *atomic.Uint64) bool {
	if next := w.version + uint64(len(w.batch.versions)); !w.exhausted && next < 1<<bits.OnesCount32(w.mask) {
		w.version = next
		w.setVersion()
		return true
	}
	if !w.exhausted {
		value := counter.Add(1) - 1
		if size := w.extranonce.twoSize; size >= 8 || value-w.first < 1<<(8*size) {
			w.setExtranonce2(value)
			return true
		}
		w.exhausted = true
	}
	// No time that the pool's clock has not reached: its ntime and what has
	// passed since.
	now := uint64(w.job.ntime) + uint64(time.Since(w.received)/time.Second)
	if now <= uint64(w.batch.ntime) || now > math.MaxUint32 {
		return false
	}
	w.exhausted = false
	w.batch.ntime = uint32(now)
	w.first = counter.Add(1) - 1
	w.setExtranonce2(w.first)
	return true
}

// setExtranonce2 begins a new coinbase; its low bytes are value, big-endian.
func (w *work) setExtranonce2(value uint64) {
	size := w.extranonce.twoSize
	wide := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(wide[len(wide)-8:], value)
	w.batch.extranonce2 = wide[len(wide)-size:]
	root := w.job.merkleRoot(w.extranonce.one, w.batch.extranonce2)
	w.batch.header = w.job.header(w.job.version, root, w.batch.ntime, 0)
	w.version = 0
	w.setVersion()
}

// setVersion makes the batch's versions: those with the index and the next ones
// spread over the bits of mask.
func (w *work) setVersion() {
	w.nonce = 0
	count := min(max(w.together, 1), 1<<bits.OnesCount32(w.mask)-w.version)
	w.batch.versions = make([]uint32, count)
	for i := range w.batch.versions {
		w.batch.versions[i] = rolled(w.job.version, w.mask, spread(w.version+uint64(i), w.mask))
	}
	binary.LittleEndian.PutUint32(w.batch.header[:], w.batch.versions[0])
}

// spread puts the low bits of index, lowest first, where mask has ones.
func spread(index uint64, mask uint32) (out uint32) {
	for ; mask != 0; mask &= mask - 1 {
		if index&1 != 0 {
			out |= mask & -mask
		}
		index >>= 1
	}
	return out
}

// wait sleeps for d, or until ctx or done ends.
func wait(ctx context.Context, d time.Duration, done <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-done:
	case <-ctx.Done():
	}
}
