package pool

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// dearChain counts hashes; each takes a while when the test wants that.
type dearChain struct {
	*toyChain
	hashes atomic.Int64
	cost   time.Duration
}

func (c *dearChain) PowHash(h *[80]byte) Hash {
	c.hashes.Add(1)
	time.Sleep(c.cost)
	return c.toyChain.PowHash(h)
}

func (c *dearChain) PowHashes(headers [][80]byte, out []Hash) {
	for i := range headers {
		out[i] = c.PowHash(&headers[i])
	}
}

func dearEngine(t *testing.T) (*Engine, *dearChain) {
	t.Helper()
	c := &dearChain{toyChain: newToyChain()}
	e, err := NewEngine(EngineConfig{PoolID: "toy", Chain: c, Scheme: SchemePPLNS, Epoch: 7, RewardScript: []byte("reward")})
	if err != nil {
		t.Fatal(err)
	}
	return e, c
}

// TestCheapChecksFirst holds that what can be refused without the proof of work is.
func TestCheapChecksFirst(t *testing.T) {
	e, chain := dearEngine(t)
	old := setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
	s := toySession(t, e, fixed64, "alice")
	is := issue(t, e, s, 64)
	good := find(e, s, is, is.Target, old.NetworkTarget)
	block := find(e, s, is, old.NetworkTarget, Target{})
	late := *block
	late.Extranonce2[0] = 1 // another header of the same tip

	f := func(name string, at time.Duration, sub Submission, hashes int64, want Reject, candidate bool) {
		t.Helper()
		before := chain.hashes.Load()
		v := e.Submit(s, &sub, toyNow.Add(at))
		if n := chain.hashes.Load() - before; n != hashes || v.Reject != want || (v.Candidate != nil) != candidate {
			t.Errorf("%s: %d hashes, %v, candidate %v; want %d, %v, %v", name, n, v.Reject, v.Candidate != nil, hashes, want, candidate)
		}
	}
	with := func(change func(*Submission)) Submission { u := *good; change(&u); return u }
	f("worker", 0, with(func(u *Submission) { u.Worker = 7 }), 0, RejectUnauthorized, false)
	f("unknown job", 0, with(func(u *Submission) { u.Salt++ }), 0, RejectUnknownJob, false)
	f("ntime", 0, with(func(u *Submission) { u.NTime += 601 }), 0, RejectNTime, false)
	f("version", 0, with(func(u *Submission) { u.HasVersion, u.VersionBits = true, 1 }), 0, RejectVersion, false)
	f("good", 0, *good, 1, Accepted, false)
	f("duplicate", 0, *good, 0, RejectDuplicate, false)
	setTemplate(t, e, toyTemplate(101, 2, toyBits(16)), toyNow.Add(time.Second))
	setTemplate(t, e, toyTemplate(101, 2, toyBits(16)), toyNow.Add(4*time.Second)) // a refresh is no new tip
	f("stale block within the grace", 6*time.Second, *block, 1, RejectStale, true)
	f("again", 6*time.Second, *block, 0, RejectDuplicate, false)
	f("stale after the grace", 6*time.Second+time.Millisecond, late, 0, RejectStale, false)
}

// TestMissersShareLittle floods the engine from many sessions with shares that miss, and expects them to
// get their small part of one processor while another session waits for nobody.
func TestMissersShareLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, chain := dearEngine(t)
		setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
		honest := toySession(t, e, fixed64, "alice")
		is := issue(t, e, honest, 64)
		var good []*Submission
		for en2 := byte(0); len(good) < 50; en2++ {
			for nonce := uint32(0); ; nonce++ {
				if p := powOf(e, honest, is, 1_700_000_000, nonce, [8]byte{en2}); is.Target.Meets(&p) {
					good = append(good, &Submission{Salt: is.Salt, NTime: 1_700_000_000, Nonce: nonce, Extranonce2: [8]byte{en2}})
					break
				}
			}
		}
		const flooders = 40
		type flooder struct {
			session *Session
			bad     *Submission
		}
		var all []flooder
		for range flooders {
			s := toySession(t, e, fixed64, "mallory")
			i := issue(t, e, s, 64)
			all = append(all, flooder{s, find(e, s, i, Difficulty(1).Target(e.params.DiffOne), i.Target)})
		}
		// They use up what anybody may miss.
		for _, f := range all {
			for range maxMisses {
				if v := e.Submit(f.session, f.bad, toyNow); v.Reject != RejectLowDifficulty {
					t.Fatal(v.Reject)
				}
			}
		}
		chain.cost = time.Millisecond
		chain.hashes.Store(0)
		done := make(chan struct{})
		var wg sync.WaitGroup
		for _, f := range all {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if v := e.Submit(f.session, f.bad, toyNow); v.Reject != RejectLowDifficulty {
						t.Errorf("a miss: %v", v.Reject)
					}
				}
			})
		}
		began, worst := time.Now(), time.Duration(0)
		for _, sub := range good {
			time.Sleep(20 * time.Millisecond)
			sent := time.Now()
			if v := e.Submit(honest, sub, toyNow); v.Reject != Accepted && v.Reject != RejectDuplicate {
				t.Errorf("an honest share: %v", v.Reject)
			}
			worst = max(worst, time.Since(sent))
		}
		took := time.Since(began)
		close(done)
		wg.Wait()
		misses := chain.hashes.Load() - int64(len(good)) - flooders
		if limit := int64(took/time.Millisecond)/missPart + 2; misses > limit || misses < limit/2 {
			t.Errorf("%d hashes for flooders in %v, want at most %d, and not none", misses, took, limit)
		}
		if limit := 2 * time.Millisecond; runtime.GOMAXPROCS(0) > 1 && worst > limit {
			t.Errorf("an honest share waited %v, with one processor kept from missers at most %v", worst, limit)
		}
	})
}

// TestMisserComesBack holds that a crowd of missers is refused beyond a bound, and that a share that meets
// its target makes a session as good as any.
func TestMisserComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, chain := dearEngine(t)
		setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
		var sessions []*Session
		var bad []*Submission
		for range maxWaiting + 10 {
			s := toySession(t, e, fixed64, "mallory")
			is := issue(t, e, s, 64)
			s.Misses = maxMisses
			sessions, bad = append(sessions, s), append(bad, find(e, s, is, Difficulty(1).Target(e.params.DiffOne), is.Target))
		}
		chain.cost = time.Millisecond
		var busy atomic.Int64
		var wg sync.WaitGroup
		for i, s := range sessions {
			wg.Go(func() {
				v := e.Submit(s, bad[i], toyNow)
				if v.Reject == RejectBusy {
					busy.Add(1)
				}
				if v.Reject == RejectBusy && (v.Share.Account != AccountID{} || v.Candidate != nil) {
					t.Error("a refusal unseen carries a share")
				}
			})
		}
		wg.Wait()
		if busy.Load() != 10 {
			t.Errorf("%d were refused unseen, want 10", busy.Load())
		}

		s := toySession(t, e, fixed64, "alice")
		is := issue(t, e, s, 64)
		s.Misses = maxMisses
		good := find(e, s, is, is.Target, e.Current().NetworkTarget)
		if v := e.Submit(s, good, toyNow); v.Reject != Accepted || s.Misses != 0 {
			t.Errorf("%v, %d misses", v.Reject, s.Misses)
		}
	})
}

// TestHashedTogether holds that what gathers while all places are taken is hashed together, in the order of
// asking and each header for who asked.
func TestHashedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newToyChain()
		var mu sync.Mutex
		var groups [][]byte
		h := newHashing(func(headers [][80]byte, out []Hash) {
			var group []byte
			for i := range headers {
				group = append(group, headers[i][0])
			}
			mu.Lock()
			groups = append(groups, group)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			chain.PowHashes(headers, out)
		})
		h.places = 2
		var wg sync.WaitGroup
		for i := range byte(2 + 60) {
			wg.Go(func() {
				header := [80]byte{0: i, 40: i}
				if pow, took := h.compute(&header); pow != chain.PowHash(&header) || took <= 0 {
					t.Errorf("header %d: %v in %v", i, pow, took)
				}
			})
			synctest.Wait() // until it hashes or queues
		}
		wg.Wait()
		slices.SortFunc(groups, func(a, b []byte) int { return int(a[0]) - int(b[0]) }) // two begin at the same time
		var sizes []int
		for _, group := range groups {
			sizes = append(sizes, len(group))
		}
		if want := []int{1, 1, maxTogether, 18, 9, 5, 2, 1, 1}; !slices.Equal(sizes, want) {
			t.Errorf("hashed in groups of %v, want %v", sizes, want)
		}
		if order := slices.Concat(groups...); !slices.IsSorted(order) || len(order) != 62 {
			t.Errorf("hashed in the order %v", order)
		}
		if h.busy != 0 || len(h.queue) != 0 {
			t.Errorf("%d places taken, %d in the queue", h.busy, len(h.queue))
		}
	})
}
