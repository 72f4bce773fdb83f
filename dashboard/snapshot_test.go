package dashboard

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

func accountOfToy(address string) pool.AccountID { return pool.AccountOf("toy", toyScript(address)) }

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
	for method, want := range map[string]int{"View": 2, "Head": 2, "Health": 2, "AccountView": 2, "Balances": 2, "Docs": 4} { // two chunks of blocks, one of payouts, the fees
		if got := s.store.called(method); got != want {
			t.Errorf("%s was called %d times, want %d", method, got, want)
		}
	}
	s.store.add(ledger.SetBlocks, strings.Repeat("0", 64), ledger.BlockDoc{State: ledger.BlockSubmitted})
	s.wait(time.Second)
	if s.get("/api/v1/pools"); s.store.called("Docs") != 7 {
		t.Errorf("after an entry of the ledger: %d reads of documents, want 7", s.store.called("Docs"))
	}
}

func TestStoreAway(t *testing.T) {
	s := newSite(t, nil)
	before := s.get("/api/v1/pools/toy").body
	miner := s.get("/api/v1/pools/toy/miners/toy1bob").body
	s.store.change(func() { s.store.away = errFakeAway })
	s.wait(5 * time.Second)

	var p, was poolJSON
	if err := errors.Join(json.Unmarshal([]byte(s.get("/api/v1/pools/toy").body), &p), json.Unmarshal([]byte(before), &was)); err != nil {
		t.Fatal(err)
	}
	if p.Hashrate != was.Hashrate || p.Height != was.Height || p.Ledger != was.Ledger || !strings.Contains(p.StoreError, "connection refused") || p.AsOf == nil || *p.AsOf != "2026-03-04T12:30:15.000Z" {
		t.Errorf("not the last known values: %+v", p)
	}
	var m, had minerJSON
	if err := errors.Join(json.Unmarshal([]byte(s.get("/api/v1/pools/toy/miners/toy1bob").body), &m), json.Unmarshal([]byte(miner), &had)); err != nil {
		t.Fatal(err)
	}
	if m.Immature != had.Immature || m.Immature == 0 || !strings.Contains(m.StoreError, "connection refused") {
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
	if a := s.get("/api/v1/pools/toy/miners/toy1erin"); a.status != 503 || a.get("Content-Type") != typeProblem {
		t.Errorf("an address that was never read: %d %s", a.status, a.body)
	}
	if a := s.get("/readyz"); a.status != 503 {
		t.Errorf("ready without a store: %d", a.status)
	}
	s.store.change(func() { s.store.away = nil })
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
	s.store.change(func() { s.store.gate = gate })
	s.wait(time.Minute)
	begun := time.Now()
	if a := s.get("/"); a.status != 200 {
		t.Errorf("%d", a.status)
	}
	if took := time.Since(begun); took > storeTime {
		t.Errorf("a page took %s", took)
	}
	s.store.change(func() { s.store.gate = nil })
	close(gate)
}

func TestReadyz(t *testing.T) {
	f := func(what string, edit func(*fakeStore), live *Live, want ...string) {
		t.Helper()
		s := newSite(t, func(o *Options) {
			if live != nil {
				o.Live = func(id string) (Live, bool) { return *live, id == "toy" }
			}
		})
		s.store.change(func() { edit(s.store) })
		a := s.get("/readyz")
		if len(want) == 0 {
			if a.status != 200 || a.body != "{\"ready\":true}\n" {
				t.Errorf("%s: %d %s", what, a.status, a.body)
			}
			return
		}
		var p problem
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
	f("all well", func(*fakeStore) {}, nil)
	f("one of two nodes", func(f *fakeStore) { f.view.Nodes[0] = down[0] }, nil)
	f("no node up", func(f *fakeStore) { f.view.Nodes = down }, nil, "node", "a is down: no route to host")
	f("no node known", func(f *fakeStore) { f.view.Nodes = nil }, nil, "node", "no full node is known")
	f("journal", func(f *fakeStore) { f.view.JournalError = "disk full" }, nil, "journal", "disk full")
	f("no job", func(f *fakeStore) { f.view.JobTime = 0 }, nil, "job", "no job")
	f("old job", func(f *fakeStore) { f.view.JobTime = toyNow.Add(-6 * time.Minute).UnixMilli() }, nil, "job", "6m0s old")
	f("no redis", func(f *fakeStore) { f.away = errFakeAway }, nil, "redis", "connection refused", "node", "no full node", "job", "no job")
	well := Live{Job: toyNow, Nodes: []pool.NodeReport{{Name: "a", Up: true}}}
	f("live wins", func(f *fakeStore) { f.view.JobTime, f.view.Nodes, f.view.JournalError = 0, nil, "old" }, &well)
	waiting := well
	waiting.Backlog = 1234
	f("redis away for long", func(f *fakeStore) { f.away = errFakeAway }, &waiting, "redis", "1234 shares wait in the journal")
	ill := Live{JournalError: "short write"}
	f("live is ill", func(*fakeStore) {}, &ill, "node", "no full node", "journal", "short write", "job", "no job")
}

func TestEffort(t *testing.T) {
	now := toyNow.Truncate(time.Minute)
	view := pool.PoolView{Hashrate: 100, NetworkWork: "120000"}
	for m := now.Add(-time.Hour).Unix(); m < now.Unix(); m += 60 {
		view.History = append(view.History, pool.HistoryPoint{Time: m, Hashrate: 100})
	}
	f := func(what string, ago time.Duration, state ledger.BlockState, want float64) {
		t.Helper()
		got, ok := effort(&view, []*ledger.BlockDoc{{Time: now.Add(-ago).UnixMilli(), State: state}}, now.Add(30*time.Second))
		if ok != (want > 0) || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, %v, want %v", what, got, ok, want)
		}
	}
	f("twenty minutes and a half", 20*time.Minute, ledger.BlockMature, 100*(20*60+30)/120000.0)
	f("inside a minute", 20*time.Minute+20*time.Second, ledger.BlockImmature, 100*(20*60+50)/120000.0)
	f("an orphan counts as found", 20*time.Minute, ledger.BlockOrphaned, 100*(20*60+30)/120000.0)
	f("too fresh", 9*time.Minute, ledger.BlockMature, 0)
	f("before the chart", 61*time.Minute, ledger.BlockMature, 0)
	f("never accepted", 20*time.Minute, ledger.BlockRejected, 0)
	view.NetworkWork = "many"
	f("unknown work", 20*time.Minute, ledger.BlockMature, 0)
}

func TestPaging(t *testing.T) {
	s := newSite(t, nil)
	var all []string
	for offset := 0; offset < 70; offset += 7 {
		var got struct {
			Blocks []blockJSON `json:"blocks"`
			Total  int         `json:"total"`
		}
		a := s.get("/api/v1/pools/toy/blocks?limit=7&offset=" + countText(uint64(offset)))
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Total != 60 || got.Blocks == nil {
			t.Fatalf("%v %s", err, a.body)
		}
		for _, b := range got.Blocks {
			all = append(all, b.Hash.String())
		}
	}
	if len(all) != 60 {
		t.Fatalf("%d blocks", len(all))
	}
	for i, h := range all {
		if h != s.blockHash(i) {
			t.Fatalf("row %d is %s", i, h)
		}
	}
	page := s.get("/toy/blocks?limit=20&offset=20").body
	for _, want := range []string{`href="/toy/blocks?limit=20&amp;offset=0"`, `href="/toy/blocks?limit=20&amp;offset=40"`, "21–40 of 60"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if a := s.get("/toy/blocks?offset=1000"); a.status != 200 || !strings.Contains(a.body, "No block here") {
		t.Errorf("past the end: %d", a.status)
	}
}
