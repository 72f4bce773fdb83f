package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

func accountOfToy(address string) pool.AccountID {
	return pool.AccountOf("toy", boardtest.Script(address))
}

func TestFloodReadsTheStoreOnceASecond(t *testing.T) {
	s := newSite(t, nil)
	flood := func() {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					for _, path := range []string{"/", "/api/v1/pools", "/api/v1/pools/toy", "/api/v1/pools/toy/blocks?limit=100", "/readyz", "/metrics", "/user/toy1bob"} {
						if a := s.get(path); a.status != 200 {
							t.Errorf("%s: %d", path, a.status)
						}
					}
				}
			})
		}
		wg.Wait()
	}
	flood()
	s.wait(time.Second)
	flood()
	for method, want := range map[string]int{"View": 2, "Head": 2, "Health": 2, "AccountView": 2, "Balances": 2, "Docs": 5} { // blocks in three lengths, payouts in one, the fees
		// Lengths that are asked for side by side may each be read, of 2 240 requests.
		if got := s.store.Called(method); got < want || got > want && (method != "Docs" || got > want+5) {
			t.Errorf("%s was called %d times, want %d", method, got, want)
		}
	}
	before := s.store.Called("Docs")
	s.store.Add(ledger.SetBlocks, strings.Repeat("0", 64), ledger.BlockDoc{State: ledger.BlockSubmitted})
	s.wait(time.Second)
	if s.get("/api/v1/pools"); s.store.Called("Docs") <= before || s.store.Called("Docs") > before+5 {
		t.Errorf("after an entry of the ledger: %d reads of documents, were %d", s.store.Called("Docs"), before)
	}
}

func TestStoreAway(t *testing.T) {
	s := newSite(t, nil)
	before := s.get("/api/v1/pools/toy").body
	miner := s.get("/api/v1/pools/toy/miners/toy1bob").body
	s.store.Change(func() { s.store.Away = boardtest.ErrAway })
	s.wait(5 * time.Second)

	type poolValues struct {
		Hashrate   float64
		Height     int64
		Ledger     struct{ Head string }
		StoreError string  `json:"store_error"`
		AsOf       *string `json:"as_of"`
	}
	type minerValues struct {
		Immature   string
		StoreError string `json:"store_error"`
	}
	var p, was poolValues
	if err := errors.Join(json.Unmarshal([]byte(s.get("/api/v1/pools/toy").body), &p), json.Unmarshal([]byte(before), &was)); err != nil {
		t.Fatal(err)
	}
	if p.Hashrate != was.Hashrate || p.Height != was.Height || p.Ledger != was.Ledger || !strings.Contains(p.StoreError, "connection refused") || p.AsOf == nil || *p.AsOf != "2026-03-04T12:30:15.000Z" {
		t.Errorf("not the last known values: %+v", p)
	}
	var m, had minerValues
	if err := errors.Join(json.Unmarshal([]byte(s.get("/api/v1/pools/toy/miners/toy1bob").body), &m), json.Unmarshal([]byte(miner), &had)); err != nil {
		t.Fatal(err)
	}
	if m.Immature != had.Immature || m.Immature == "0" || !strings.Contains(m.StoreError, "connection refused") {
		t.Errorf("not the last known balances: %+v", m)
	}
	for _, path := range []string{"/", "/toy/blocks", "/toy/payments", "/user/toy1bob"} {
		if a := s.get(path); a.status != 200 || !strings.Contains(a.body, "last known values, from 12:30:15 UTC") {
			t.Errorf("%s: %d without the notice", path, a.status)
		}
	}
	if a := s.get("/user/toy1erin"); a.status != 503 || !strings.Contains(a.body, "connection refused") {
		t.Errorf("an address that was never read: %d", a.status)
	}
	if a := s.get("/api/v1/pools/toy/miners/toy1erin"); a.status != 503 || a.get("Content-Type") != web.TypeProblem {
		t.Errorf("an address that was never read: %d %s", a.status, a.body)
	}
	if a := s.get("/readyz"); a.status != 503 {
		t.Errorf("ready without a store: %d", a.status)
	}
	s.store.Change(func() { s.store.Away = nil })
	s.wait(time.Second)
	if a := s.get("/"); strings.Contains(a.body, "last known values") {
		t.Error("the notice stays when the store is back")
	}
	if a := s.get("/readyz"); a.status != 200 {
		t.Errorf("not ready again: %s", a.body)
	}
}

func TestSlowStoreDoesNotHoldPages(t *testing.T) {
	s := newSite(t, nil)
	s.get("/")
	gate := make(chan struct{})
	s.store.Change(func() { s.store.Gate = gate })
	s.wait(time.Minute)
	begun := time.Now()
	if a := s.get("/"); a.status != 200 {
		t.Errorf("%d", a.status)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("a page took %s", took)
	}
	s.store.Change(func() { s.store.Gate = nil })
	close(gate)
}

func TestReadyz(t *testing.T) {
	f := func(what string, edit func(*boardtest.Store), live *view.Live, want ...string) {
		t.Helper()
		s := newSite(t, func(o *Options) {
			if live != nil {
				o.Live = func(id string) (view.Live, bool) { return *live, id == "toy" }
			}
		})
		s.store.Change(func() { edit(s.store) })
		s.wait(2 * time.Second)
		a := s.get("/readyz")
		if len(want) == 0 {
			if a.status != 200 || a.body != "{\"ready\":true}\n" {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
			return
		}
		var p struct {
			Detail string
			Failed []view.Failure
		}
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != 503 || len(p.Failed) != len(want)/2 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
			return
		}
		for i, got := range p.Failed {
			if got.Pool != "toy" || got.Part != want[2*i] || !strings.Contains(got.Error, want[2*i+1]) {
				t.Errorf("%s: %+v, want %s %q", what, got, want[2*i], want[2*i+1])
			}
			if !strings.Contains(p.Detail, want[2*i+1]) {
				t.Errorf("%s: %q does not name it", what, p.Detail)
			}
		}
		if a := s.get("/"); !strings.Contains(a.body, "Needs attention") {
			t.Errorf("%s: the overview does not tell", what)
		}
		if a := s.get("/metrics"); !strings.Contains(a.body, "pool_ready{pool=\"toy\"} 0\n") {
			t.Errorf("%s: the metrics do not tell", what)
		}
	}
	down := []pool.NodeReport{{Name: "a", Error: "no route to host"}, {Name: "b", Error: "401"}}
	f("all well", func(*boardtest.Store) {}, nil)
	f("one of two nodes", func(f *boardtest.Store) { f.Pool.Nodes[0] = down[0] }, nil)
	f("no node up", func(f *boardtest.Store) { f.Pool.Nodes = down }, nil, "node", "a is down: no route to host")
	f("no node known", func(f *boardtest.Store) { f.Pool.Nodes = nil }, nil, "node", "no full node is known")
	f("journal", func(f *boardtest.Store) { f.Pool.JournalError = "disk full" }, nil, "journal", "disk full")
	f("no job", func(f *boardtest.Store) { f.Pool.JobTime = 0 }, nil, "job", "no job")
	f("old job", func(f *boardtest.Store) { f.Pool.JobTime = boardtest.Start().Add(-6 * time.Minute).UnixMilli() }, nil, "job", "6m2s old")
	f("no redis", func(f *boardtest.Store) { f.Away = boardtest.ErrAway }, nil, "redis", "connection refused")
	well := view.Live{Job: boardtest.Start(), Nodes: []pool.NodeReport{{Name: "a", Up: true}}}
	f("live wins", func(f *boardtest.Store) { f.Pool.JobTime, f.Pool.Nodes, f.Pool.JournalError = 0, nil, "old" }, &well)
	waiting := well
	waiting.Backlog = 1234
	f("redis away for long", func(f *boardtest.Store) { f.Away = boardtest.ErrAway }, &waiting, "redis", "1234 shares wait in the journal")
	ill := view.Live{JournalError: "short write"}
	f("live is ill", func(*boardtest.Store) {}, &ill, "node", "no full node", "journal", "short write", "job", "no job")
}

func TestPaging(t *testing.T) {
	s := newSite(t, nil)
	var all []string
	path := "/api/v1/pools/toy/blocks?limit=7"
	for path != "" {
		var got struct {
			Blocks []struct{ Hash string }
			Total  int
			Next   *string
		}
		a := s.get(path)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Total < 60 || got.Blocks == nil {
			t.Fatalf("%v %s", err, a.body)
		}
		for _, b := range got.Blocks {
			all = append(all, b.Hash)
		}
		if path = ""; got.Next != nil {
			path = "/api/v1/pools/toy/blocks?limit=7&cursor=" + *got.Next
			// a block found while a client reads the list is neither in its way nor shifts it
			s.store.Add(ledger.SetBlocks, fmt.Sprintf("%064x", len(all)), ledger.BlockDoc{State: ledger.BlockSubmitted})
		}
	}
	if len(all) != 60 {
		t.Fatalf("%d blocks", len(all))
	}
	for i, h := range all {
		if h != s.store.ID("blocks", i+8) {
			t.Fatalf("row %d is %s", i, h)
		}
	}
	s.wait(time.Second)
	page := s.get("/toy/blocks?limit=20").body
	next := regexp.MustCompile(`href="(/toy/blocks[^"]*)" rel="next"`).FindStringSubmatch(page)
	if next == nil || !strings.Contains(page, "68 in all") || strings.Contains(page, `rel="first"`) {
		t.Fatal("no next page")
	}
	if a := s.get(html.UnescapeString(next[1])); a.status != 200 || !strings.Contains(a.body, `href="/toy/blocks?limit=20" rel="first"`) {
		t.Errorf("the next page: %d", a.status)
	}
}
