package worker

import (
	"context"
	"encoding/binary"
	"maps"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
)

func sampleWork(twoSize int, mask uint32) *work {
	return &work{
		job:        &job{id: "1", coinb1: []byte{1}, coinb2: []byte{2}, version: 0x20000000, ntime: 1000},
		extranonce: extranonce{one: []byte{9}, twoSize: twoSize},
		mask:       mask, received: time.Now(), era: newEra(), done: make(chan struct{}),
	}
}

// Several threads drain a small space at once: every (extranonce2, ntime,
// version) header is handed out with all its nonces, and none twice.
func TestCursorHandsOutEachNonceOnce(t *testing.T) {
	for _, together := range []uint64{0, 1, 3, 4, 8, 100} {
		cursorHandsOutEachNonceOnce(t, together)
	}
}

func cursorHandsOutEachNonceOnce(t *testing.T, together uint64) {
	synctest.Test(t, func(t *testing.T) {
		const mask = 1<<13 | 1<<20 | 1<<28
		w := sampleWork(1, mask)
		w.together = together
		var counter atomic.Uint64
		counter.Store(1<<40 + 200) // wraps within the job
		type header struct {
			extranonce2    byte
			ntime, version uint32
		}
		var mu sync.Mutex
		nonceSum := map[header]uint64{}
		seen := map[header]map[uint32]bool{}
		drain := func() {
			for size := uint64(1 << 29); ; size = size*3/2%(1<<31) + 1<<28 {
				b, ok := w.next(size, &counter)
				if !ok {
					return
				}
				if binary.LittleEndian.Uint32(b.header[:]) != b.versions[0] || uint64(len(b.versions)) > max(together, 1) {
					t.Errorf("header %x, versions %x", b.header, b.versions)
				}
				for _, version := range b.versions {
					h := header{b.extranonce2[0], b.ntime, version}
					mu.Lock()
					if seen[h] == nil {
						seen[h] = map[uint32]bool{}
					}
					if seen[h][b.nonce] || uint64(b.nonce)+b.count > nonces {
						t.Errorf("%+v: nonces %d+%d again or past the end", h, b.nonce, b.count)
					}
					seen[h][b.nonce] = true
					nonceSum[h] += b.count
					mu.Unlock()
					if root := w.job.merkleRoot([]byte{9}, b.extranonce2); [32]byte(b.header[36:68]) != root ||
						binary.LittleEndian.Uint32(b.header[68:]) != b.ntime {
						t.Errorf("%+v: header %x does not hold its extranonce2 and ntime", h, b.header)
					}
				}
			}
		}
		together := func() {
			var wait sync.WaitGroup
			for range 3 {
				wait.Go(drain)
			}
			wait.Wait()
		}
		together()
		perSecond := 256 << bits.OnesCount32(mask)
		if len(nonceSum) != perSecond {
			t.Fatalf("%d headers in the first second, want %d", len(nonceSum), perSecond)
		}
		// The clock has not moved: nothing more. Two seconds on, one more pass.
		together()
		time.Sleep(2500 * time.Millisecond)
		together()
		if len(nonceSum) != 2*perSecond {
			t.Fatalf("%d headers after the clock moved, want %d", len(nonceSum), 2*perSecond)
		}
		for h, sum := range nonceSum {
			if sum != nonces {
				t.Errorf("%+v: %d nonces", h, sum)
			}
			if h.ntime != 1000 && h.ntime != 1002 {
				t.Errorf("%+v: ntime is neither the job's nor that plus the two seconds passed", h)
			}
			if h.version&^uint32(mask) != 0x20000000 {
				t.Errorf("%+v: version rolled outside the mask", h)
			}
		}
	})
}

func TestCursorStopsAtTheEndOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sampleWork(1, 0)
		w.job.ntime = 0xffffffff
		var counter atomic.Uint64
		for range 256 {
			if _, ok := w.next(nonces, &counter); !ok {
				t.Fatal("the job's own second ended early")
			}
		}
		time.Sleep(5 * time.Second)
		if b, ok := w.next(1, &counter); ok {
			t.Errorf("ntime wrapped round to %d", b.ntime)
		}
	})
}

// Extranonce2 goes on over jobs, so that a repeated job is not searched twice,
// and fills its size from the right.
func TestExtranonce2CountsOnOverJobs(t *testing.T) {
	var counter atomic.Uint64
	f := func(size int, want string) {
		t.Helper()
		b, ok := sampleWork(size, 0).next(1, &counter)
		if !ok || string(b.extranonce2) != want {
			t.Errorf("size %d: extranonce2 %x, want %x", size, b.extranonce2, want)
		}
	}
	f(4, "\x00\x00\x00\x00")
	f(4, "\x00\x00\x00\x01")
	counter.Store(0x0102030405060708)
	f(8, "\x01\x02\x03\x04\x05\x06\x07\x08")
	f(2, "\x07\x09")
	f(10, "\x00\x00\x01\x02\x03\x04\x05\x06\x07\x0a")
}

func TestSpread(t *testing.T) {
	f := func(index uint64, mask, want uint32) {
		t.Helper()
		if got := spread(index, mask); got != want {
			t.Errorf("spread(%b, %x) = %x, want %x", index, mask, got, want)
		}
	}
	f(0, 0x1fffe000, 0)
	f(1, 0x1fffe000, 0x2000)
	f(0xffff, 0x1fffe000, 0x1fffe000)
	f(5, 0x80000101, 0x80000001)
	f(7, 0, 0)
}

// sampleDevice is a processor.
func sampleDevice() *device { return newDevice(CPU(sha256d.Kernel{}, 1), time.Now()) }

// easy makes every hash a share.
func easy(w *work) *work {
	for i := range w.target {
		w.target[i] = 0xff
	}
	return w
}

// At one hash a second, with new jobs coming faster than that, no hash is spent
// on an old job and none is left out.
func TestSlowSearchHashesTheNewestJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newSearch(sha256d.Kernel{}, NewLimit(1), &Stats{})
		s.stats.start("sha256d", nil)
		var wait sync.WaitGroup
		d := sampleDevice()
		for i := range 3 {
			wait.Go(func() { s.run(ctx, d, i) })
		}
		finds := 0
		wait.Go(func() {
			for {
				select {
				case f := <-s.found:
					finds++
					if f.work != s.current.Load() {
						t.Error("a hash of an old job")
					}
				case <-ctx.Done():
					return
				}
			}
		})
		time.Sleep(100 * time.Millisecond)
		for range 100 {
			s.set(easy(sampleWork(4, 0)))
			time.Sleep(290 * time.Millisecond) // never at the moment of a turn
		}
		synctest.Wait()
		if finds < 29 || finds > 30 {
			t.Errorf("%d hashes in 29 s", finds)
		}
		s.idle()
		time.Sleep(time.Minute)
		if hashes := s.stats.Counts().Hashes; hashes != uint64(finds) {
			t.Errorf("%d hashes, %d of them before the work was taken away", hashes, finds)
		}
		cancel()
		wait.Wait()
	})
}

// A batch with more shares than are handed over in one go is searched to its
// end; that of work with a successor is left.
func TestScanOfABatch(t *testing.T) {
	const count = 5*maxFinds + 3
	f := func(disturb func(*search, *work), least, most int) {
		t.Helper()
		s := newSearch(sha256d.Kernel{}, &Limit{}, &Stats{})
		w := easy(sampleWork(4, 0))
		s.set(w)
		b, _ := w.next(count, &s.extranonce2)
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := s.scan(t.Context(), sampleDevice(), 0, w, b); err != nil {
				t.Error(err)
			}
		})
		ended := make(chan struct{})
		go func() { wait.Wait(); close(ended) }()
		seen := map[uint32]bool{}
		for open := true; open; {
			select {
			case f := <-s.found:
				if seen[f.nonce] = true; len(seen) == maxFinds/2 {
					disturb(s, w)
				}
			case <-ended:
				open = false
			}
		}
		if len(seen) < least || len(seen) > most {
			t.Errorf("%d shares of %d, want %d to %d", len(seen), count, least, most)
		}
	}
	f(func(*search, *work) {}, count, count)
	f(func(s *search, _ *work) { s.set(sampleWork(4, 0)) }, maxFinds, maxFinds)

	// Nobody takes the share: the end of the era still frees the thread.
	s := newSearch(sha256d.Kernel{}, &Limit{}, &Stats{})
	w := easy(sampleWork(4, 0))
	s.set(w)
	b, _ := w.next(1, &s.extranonce2)
	close(w.era.over)
	if err := s.scan(t.Context(), sampleDevice(), 0, w, b); err != nil {
		t.Error(err)
	}
}

// Shares found in several versions at once are handed over each in its own, all of
// them and no other.
func TestScanOfSeveralVersions(t *testing.T) {
	const mask, count = 1<<13 | 1<<20 | 1<<27, 700
	f := func(device *device, together uint64) {
		t.Helper()
		s := newSearch(sha256d.Kernel{}, &Limit{}, &Stats{})
		w := sampleWork(4, mask)
		w.together = together
		w.target[0] = 2 // one hash of some hundred
		s.set(w)
		b, _ := w.next(count*together, &s.extranonce2)
		if b.count != count || uint64(len(b.versions)) != together {
			t.Fatalf("a batch of %d nonces in %d versions", b.count, len(b.versions))
		}
		type share struct{ version, nonce uint32 }
		want, got := map[share]bool{}, map[share]bool{}
		header := b.header
		for _, version := range b.versions {
			binary.LittleEndian.PutUint32(header[:], version)
			sha256d.Generic{}.Scan(&header, b.nonce, b.count, &w.target, func(nonce uint32) bool {
				want[share{version, nonce}] = true
				return true
			})
		}
		ended := make(chan error, 1)
		go func() { ended <- s.scan(t.Context(), device, 0, w, b) }()
		for open := true; open; {
			select {
			case f := <-s.found:
				got[share{binary.LittleEndian.Uint32(f.batch.header[:]), f.nonce}] = true
			case err := <-ended:
				if open = false; err != nil {
					t.Error(err)
				}
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%d versions: %d shares found, want %d", together, len(got), len(want))
		}
		if hashes := s.stats.Counts().Hashes; hashes != count*together {
			t.Errorf("%d hashes counted, want %d", hashes, count*together)
		}
	}
	f(sampleDevice(), 1)
	f(sampleDevice(), 8)
}

// wrongVersion reports a version that there is not.
type wrongVersion struct{ rollingCPU }

func (wrongVersion) ScanVersions(_ context.Context, _ *[80]byte, versions []uint32, first uint32, count uint64, _ *[32]byte, found func(uint32, int) bool) (uint64, error) {
	found(first, len(versions))
	found(first+uint32(count), 0)
	return count, nil
}

func TestScanOfWrongVersions(t *testing.T) {
	s := newSearch(sha256d.Kernel{}, &Limit{}, &Stats{})
	w := easy(sampleWork(4, 1<<13))
	w.together = 2
	s.set(w)
	b, _ := w.next(10, &s.extranonce2)
	d := newDevice(Device{Name: "x", Search: wrongVersion{}}, time.Now())
	if err := s.scan(t.Context(), d, 0, w, b); err == nil || strings.Count(err.Error(), "wrong result") != 2 {
		t.Errorf("error %v, want one for each find", err)
	}
}

// Several versions at once only where it pays: every device can, nothing limits
// the speed, and shares are rare.
func TestTogether(t *testing.T) {
	hard, easy := [32]byte{6: 1}, [32]byte{1: 1}
	f := func(rolls bool, limit float64, target [32]byte, want uint64) {
		t.Helper()
		s := newSearch(sha256d.Kernel{}, NewLimit(limit), &Stats{})
		s.rolls = rolls
		if got := s.together(&target); got != want {
			t.Errorf("%d versions, want %d", got, want)
		}
	}
	f(true, 0, hard, kernels.Together)
	f(false, 0, hard, 1)
	f(true, 1e6, hard, 1)
	f(true, 0, easy, 1)

	for _, k := range []kernels.Kernel{sha256d.Kernel{}, scrypt.Kernel{}} {
		r, err := newRig(Options{Pool: "stratum+tcp://localhost:1", User: "u", Kernel: k})
		if _, rolling := k.(kernels.Rolling); err != nil || r.search.rolls != rolling {
			t.Errorf("%s: rolls %v (%v)", k.Name(), r.search.rolls, err)
		}
	}
}

// BenchmarkSearch is one thread without a limit: what is lost against the
// kernel's own figure is the cost of handing out work.
func BenchmarkSearch(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	s := newSearch(sha256d.Kernel{}, &Limit{}, &Stats{})
	s.stats.start("sha256d", nil)
	w := sampleWork(4, 0x1fffe000)
	w.together = kernels.Together
	s.set(w)
	var wait sync.WaitGroup
	wait.Go(func() { s.run(ctx, sampleDevice(), 0) })
	for s.stats.Counts().Hashes < uint64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(s.stats.Counts().Hashes)/b.Elapsed().Seconds(), "H/s")
	cancel()
	wait.Wait()
}
