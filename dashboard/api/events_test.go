package api

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/pool/ledger"
)

// streams are the live streams of a pool "toy" with a clock of its own, which ticks by hand.
func streams(t *testing.T) (e *Events, store *boardtest.Store, wait func(time.Duration)) {
	t.Helper()
	store = boardtest.Pool(20)
	var mu sync.Mutex
	now := boardtest.Start()
	board, err := view.New(view.Options{
		Pools: []view.PoolInfo{boardtest.Info("toy", store)}, NoDoc: boardtest.ErrNoDoc, BadCursor: boardtest.ErrCursor, Log: zerolog.Nop(),
		Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(board.Close)
	e = NewEvents(board, time.Hour)
	e.tick()
	return e, store, func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
}

// TestResume comes back with the id of an event: what changed since is told, and nothing twice.
func TestResume(t *testing.T) {
	e, store, wait := streams(t)
	store.Change(func() {
		doc := &store.Set[ledger.SetBlocks][0]
		was := string(doc.Body)
		if doc.Body = []byte(strings.Replace(was, `"state":"submitted"`, `"state":"orphaned"`, 1)); string(doc.Body) == was {
			t.Fatalf("the newest block is not submitted: %.200s", was)
		}
		store.Ledger.Seq++
	})
	wait(time.Minute)
	e.tick()
	for id, want := range map[string]bool{e.boot + "-1": true, e.boot + "-2": false, e.boot + "-9": false, "other-1": false, "": false, e.boot + "-x": false, e.boot: false} {
		if got := e.missed(id); bytes.Contains(got, []byte("event: block\n")) != want || !want && len(got) > 0 {
			t.Errorf("after %q: %q", id, got)
		}
	}
}

// TestOneEncoding has every stream given the same bytes.
func TestOneEncoding(t *testing.T) {
	e, _, _ := streams(t)
	a, leaveA, err := e.join(netip.MustParseAddr("192.0.2.1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer leaveA()
	b, leaveB, err := e.join(netip.MustParseAddr("192.0.2.2"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer leaveB()
	e.tick()
	if a != b || a.after == nil || &a.after.state[0] != &b.after.state[0] || e.Ticks() != 2 {
		t.Errorf("frames %p and %p after %d ticks", a, b, e.Ticks())
	}
}

// TestSlowStream drops a stream that takes nothing for ten seconds.
func TestSlowStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Events{stopped: make(chan struct{}), last: &frame{state: []byte("x"), done: make(chan struct{})}}
		server, client := net.Pipe()
		defer client.Close()
		began := time.Now()
		e.follow(server, e.last, []byte("hello"), nil)
		server.Close()
		if took := time.Since(began); took != writeFor {
			t.Errorf("dropped after %v", took)
		}
	})
}

// TestStreamBounds refuses streams above the limits of one client and of all.
func TestStreamBounds(t *testing.T) {
	e, _, _ := streams(t)
	far := netip.MustParseAddr("192.0.2.1")
	var leaves []func()
	for range maxFromOne {
		_, leave, err := e.join(far, []watch{{address: "toy1bob"}})
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if _, _, err := e.join(far, nil); err == nil {
		t.Error("one client has more than its streams")
	}
	for _, other := range []string{"192.0.2.2", "127.0.0.1"} {
		if _, leave, err := e.join(netip.MustParseAddr(other), nil); err != nil {
			t.Error(err)
		} else {
			leave()
		}
	}
	for _, leave := range leaves {
		leave()
	}
	if e.Streams() != 0 || len(e.from) != 0 || len(e.watched) != 0 {
		t.Errorf("%d streams, %v, %v are left", e.Streams(), e.from, e.watched)
	}
	e.streams = maxStreams
	if _, _, err := e.join(netip.MustParseAddr("127.0.0.1"), nil); err == nil {
		t.Error("there is one above all")
	}
}
