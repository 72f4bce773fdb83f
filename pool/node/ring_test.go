package node

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
)

// await polls until the condition holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// watched is a running ring and what it has handed out.
type watched struct {
	*Ring
	t *testing.T

	mu      sync.Mutex
	given   []*pool.Template // guarded by mu
	retired []error          // guarded by mu
}

func startRing(t *testing.T, o RingOptions, fakes ...*fakeNode) *watched {
	t.Helper()
	w := &watched{t: t}
	for i, f := range fakes {
		o.Clients = append(o.Clients, f.client(string(rune('a'+i))))
	}
	if o.Poll == 0 {
		o.Poll = 20 * time.Millisecond
	}
	o.Log = zerolog.Nop()
	o.Retired = func(_ *pool.Template, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.retired = append(w.retired, err)
	}
	var err error
	if w.Ring, err = NewRing(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.Watch(ctx, func(tpl *pool.Template) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.given = append(w.given, tpl)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.Close(ctx)
	})
	return w
}

func (w *watched) last() *pool.Template {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.given) == 0 {
		return &pool.Template{}
	}
	return w.given[len(w.given)-1]
}

func (w *watched) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.given)
}

// awaitWork waits for a template of a node on a tip.
func (w *watched) awaitWork(node string, tip pool.Hash) {
	w.t.Helper()
	await(w.t, "template of "+node, func() bool { t := w.last(); return t.Node == node && t.PrevHash == tip })
}

// mineAll adds one block to several nodes.
func mineAll(salt string, fakes ...*fakeNode) fakeBlock {
	b := fakes[0].mine(salt)
	for _, f := range fakes[1:] {
		f.mu.Lock()
		f.add(b)
		f.mu.Unlock()
	}
	return b
}

func broken(code int, message string) func([]json.RawMessage) (any, any) {
	return func([]json.RawMessage) (any, any) { return nil, rpcError{code, message} }
}

func TestWatchByLongpoll(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	w := startRing(t, RingOptions{Poll: time.Hour}, fake) // looks at tips find nothing in time
	w.awaitWork("a", fakeGenesis().id)
	for _, salt := range []string{"1", "2", "3"} {
		await(t, "long poll", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return fake.count("getblocktemplate") > 2*len(w.given) })
		w.awaitWork("a", fake.mine(salt).id)
	}
	if n := w.count(); n != 4 {
		t.Errorf("%d templates for 4 tips", n)
	}
}

func TestWatchByLooking(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	fake.lie(func(m map[string]any) { delete(m, "longpollid") })
	w := startRing(t, RingOptions{}, fake)
	w.awaitWork("a", fakeGenesis().id)
	for _, salt := range []string{"1", "2", "3"} {
		w.awaitWork("a", fake.mine(salt).id)
	}
	if n := w.count(); n != 4 {
		t.Errorf("%d templates for 4 tips", n)
	}
}

// A node that answers every long poll at once with the same is not asked in a tight loop.
func TestWatchNoHotLoop(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	fake.lie(func(m map[string]any) { m["longpollid"] = "always new" })
	w := startRing(t, RingOptions{}, fake)
	w.awaitWork("a", fakeGenesis().id)
	begin := time.Now()
	time.Sleep(time.Second) // the span that is measured
	n := fake.count("getblocktemplate")
	if d := time.Since(begin); n > 10+int(10*(d-time.Second)/time.Second) {
		t.Errorf("%d calls for a template in %v", n, d)
	}
	w.awaitWork("a", fake.mine("1").id)
}

func TestRefresh(t *testing.T) {
	fake := newFake(t, fakeChain(t, true))
	w := startRing(t, RingOptions{Refresh: 60 * time.Millisecond}, fake)
	await(t, "renewed templates", func() bool { return w.count() >= 4 })
}

func TestFailOverAndBack(t *testing.T) {
	c := fakeChain(t, true)
	a, b := newFake(t, c), newFake(t, c)
	w := startRing(t, RingOptions{Refresh: 100 * time.Millisecond}, a, b)
	w.awaitWork("a", fakeGenesis().id)

	a.set("getblocktemplate", broken(-10, "Bitcoin is downloading blocks..."))
	a.set("getbestblockhash", broken(-28, "Loading"))
	w.awaitWork("b", fakeGenesis().id)
	await(t, "report of a", func() bool {
		r := w.Report()
		return !r[0].Up && strings.Contains(r[0].Error, "Loading") && r[1].Up && r[1].Error == ""
	})
	next := mineAll("1", a, b)
	w.awaitWork("b", next.id)

	a.set("getbestblockhash", nil)
	await(t, "report of a", func() bool { return strings.Contains(w.Report()[0].Error, "downloading") })
	a.set("getblocktemplate", nil)
	w.awaitWork("a", next.id)
	await(t, "a is up", func() bool { return w.Report()[0].Up && w.Report()[0].Height == 1 })
}

func TestLaggingNode(t *testing.T) {
	c := fakeChain(t, true)
	a, b := newFake(t, c), newFake(t, c)
	w := startRing(t, RingOptions{}, a, b)
	w.awaitWork("a", fakeGenesis().id)
	first := b.mine("1")
	w.awaitWork("b", first.id)
	// a catches up; the node in use stays until the next renewal.
	a.mu.Lock()
	a.add(first)
	a.mu.Unlock()
	second := a.mine("2")
	w.awaitWork("a", second.id)
}

func TestHangingNode(t *testing.T) {
	c := fakeChain(t, true)
	a, b := newFake(t, c), newFake(t, c)
	a.lie(func(m map[string]any) { delete(m, "longpollid") })
	w := startRing(t, RingOptions{}, a, b)
	w.awaitWork("a", fakeGenesis().id)
	a.set("getblocktemplate", func([]json.RawMessage) (any, any) { <-a.stop; return nil, nil })
	start := time.Now()
	w.awaitWork("b", mineAll("1", a, b).id)
	if d := time.Since(start); d > 10*patience { // far below a call's own limit, far above a busy machine
		t.Errorf("the next node was asked after %v", d)
	}
}

func TestNobodyLeft(t *testing.T) {
	a := newFake(t, fakeChain(t, true))
	w := startRing(t, RingOptions{Refresh: 50 * time.Millisecond}, a)
	w.awaitWork("a", fakeGenesis().id)
	a.set("getbestblockhash", broken(-28, "down"))
	await(t, "a is down", func() bool { return !w.Report()[0].Up })
	n, calls := w.count(), a.count("getblockhash")
	begin := time.Now()
	time.Sleep(300 * time.Millisecond) // the span that is measured
	if w.count() > n+1 {
		t.Errorf("%d templates from a node that is down", w.count()-n)
	}
	if asked := a.count("getblockhash") - calls; asked > 3+int((time.Since(begin)-300*time.Millisecond)/(100*time.Millisecond)) {
		t.Errorf("a node that is down was asked %d times in %v", asked, time.Since(begin))
	}
	a.set("getbestblockhash", nil)
	w.awaitWork("a", a.mine("1").id)
}

func TestNodeOfAnotherChain(t *testing.T) {
	c := fakeChain(t, true)
	a, b := newFake(t, c), newFake(t, c)
	a.mu.Lock()
	a.blocks[0] = mineFake(pool.Hash{}, "another genesis")
	a.mu.Unlock()
	a.mine("1")
	a.mine("2")
	w := startRing(t, RingOptions{}, a, b)
	w.awaitWork("b", fakeGenesis().id)
	if r := w.Report(); r[0].Up || !strings.Contains(r[0].Error, "another chain") {
		t.Errorf("%+v", r[0])
	}
	if a.count("getblocktemplate") != 0 {
		t.Error("a node of another chain was asked for work")
	}
}

// A template that only the fuller check finds false is taken back, and its node stays out until it
// speaks the truth.
func TestRetire(t *testing.T) {
	c := fakeChain(t, true)
	a, b := newFake(t, c), newFake(t, c)
	w := startRing(t, RingOptions{Refresh: 50 * time.Millisecond}, a, b)
	w.awaitWork("a", fakeGenesis().id)
	a.lie(func(m map[string]any) {
		m["default_witness_commitment"] = "6a24aa21a9ed" + strings.Repeat("00", 32)
	})
	await(t, "retirement", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.retired) > 0 })
	w.awaitWork("b", fakeGenesis().id)
	asked := a.count("getblocktemplate")
	await(t, "a is tried again", func() bool { return a.count("getblocktemplate") > asked })
	w.awaitWork("b", mineAll("1", a, b).id)
	w.mu.Lock()
	if n := len(w.retired); n != 1 || !errors.Is(w.retired[0], ErrTemplate) {
		t.Errorf("%d retirements, %v", n, w.retired)
	}
	w.mu.Unlock()
	if r := w.Report()[0]; r.Up || !strings.Contains(r.Error, "commitment") {
		t.Errorf("%+v", r)
	}
	a.lie(nil)
	await(t, "a is trusted again", func() bool { return w.last().Node == "a" && w.Report()[0].Up })
}

func TestOutvoted(t *testing.T) {
	c := fakeChain(t, false)
	a, b, d := newFake(t, c), newFake(t, c), newFake(t, c)
	a.lie(func(m map[string]any) { m["bits"] = "1f00ffff" })
	w := startRing(t, RingOptions{Refresh: 100 * time.Millisecond}, a, b, d)
	await(t, "retirement", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.retired) > 0 })
	w.awaitWork("b", fakeGenesis().id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.Contains(w.retired[0].Error(), "outvoted") {
		t.Errorf("%v", w.retired)
	}
}

func TestSubmitToAll(t *testing.T) {
	c := fakeChain(t, false)
	a, b, d := newFake(t, c), newFake(t, c), newFake(t, c)
	w := startRing(t, RingOptions{}, a, b, d)
	w.awaitWork("a", fakeGenesis().id)
	a.set("submitblock", func([]json.RawMessage) (any, any) { <-a.stop; return nil, nil }) // hangs
	b.set("submitblock", func([]json.RawMessage) (any, any) { return "high-hash", nil })   // lies
	id, raw := blockOn(fakeGenesis().id, "block")
	start := time.Now()
	got, _, err := w.SubmitBlock(t.Context(), id, raw)
	if got != pool.SubmitAccepted || err != nil || time.Since(start) > 25*time.Second {
		t.Errorf("%s, %v after %v", got, err, time.Since(start))
	}
	await(t, "every node was asked", func() bool {
		return a.count("submitblock") == 1 && b.count("submitblock") == 1 && d.count("submitblock") == 1
	})
	w.awaitWork("c", id)

	// The caller's patience ends; the calls go on.
	id, raw = blockOn(id, "next")
	d.set("submitblock", func([]json.RawMessage) (any, any) { <-d.stop; return nil, nil })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, _, err := w.SubmitBlock(ctx, id, raw); got != pool.SubmitUnknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s, %v", got, err)
	}
	await(t, "the node that hangs was asked", func() bool { return d.count("submitblock") == 2 })
	closing, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := w.Close(closing); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close with submissions under way: %v", err)
	}
	if got, _, err := w.SubmitBlock(t.Context(), id, raw); got != pool.SubmitUnknown || err == nil {
		t.Errorf("submit after close: %s, %v", got, err)
	}
}

func TestSubmitVotes(t *testing.T) {
	f := func(first, second any, want pool.SubmitResult) {
		t.Helper()
		c := fakeChain(t, false)
		a, b := newFake(t, c), newFake(t, c)
		for n, word := range map[*fakeNode]any{a: first, b: second} {
			n.set("submitblock", func([]json.RawMessage) (any, any) { return word, nil })
		}
		r, err := NewRing(RingOptions{Clients: []*Client{a.client("a"), b.client("b")}, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		id, raw := blockOn(pool.Hash{1}, "block")
		got, _, err := r.SubmitBlock(t.Context(), id, raw)
		if got != want || (err != nil) != (want == pool.SubmitUnknown) {
			t.Errorf("%v, %v: %s, %v; want %s", first, second, got, err, want)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	f("high-hash", "bad-txnmrklroot", pool.SubmitRejected)
	f("high-hash", "prev-blk-not-found", pool.SubmitUnknown)
	f(nil, "high-hash", pool.SubmitUnknown)
	f("inconclusive", nil, pool.SubmitUnknown)
}

// The ring asks on where a node cannot answer, and takes "unknown" only from all.
func TestRingReads(t *testing.T) {
	c := fakeChain(t, false)
	a, b := newFake(t, c), newFake(t, c)
	w := startRing(t, RingOptions{}, a, b)
	w.awaitWork("a", fakeGenesis().id)
	only := b.mine("only b")
	w.awaitWork("b", only.id)
	if info, err := w.BlockInfo(t.Context(), only.id); err != nil || info.Height != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := w.BlockInfo(t.Context(), pool.Hash{1}); !errors.Is(err, pool.ErrNoBlock) {
		t.Errorf("unknown to all: %v", err)
	}
	a.set("getblockheader", broken(-1, "disk"))
	if _, err := w.BlockInfo(t.Context(), pool.Hash{1}); err == nil || errors.Is(err, pool.ErrNoBlock) {
		t.Errorf("unknown to one, the other is broken: %v", err)
	}
	if tip, err := w.Tip(t.Context()); err != nil || tip.Height != 1 {
		t.Errorf("%+v, %v", tip, err)
	}
}

func TestNewRing(t *testing.T) {
	if _, err := NewRing(RingOptions{}); err == nil {
		t.Error("a ring of no nodes")
	}
}
