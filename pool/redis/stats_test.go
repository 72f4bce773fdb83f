package redis

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// statsStart is the start of an hour, Unix milliseconds.
const statsStart = int64(1_800_000_000_000)

func at(d time.Duration) int64 { return statsStart + d.Milliseconds() }

func (s *server) clock(d time.Duration) { s.now = time.UnixMilli(at(d)) }

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Max(math.Abs(a), math.Abs(b)) }

// rig is a worker's report of a steady rate over ten seconds.
func rig(account int, name string, rate float64, now int64) pool.WorkerReport {
	return pool.WorkerReport{Account: miner(account), Address: fmt.Sprintf("addr%d", account), Worker: name,
		Agent: "rig/1.0", Accepted: 2, Rejected: map[string]uint64{"stale": 1}, Work: rate * 10,
		Difficulty: 16, LastShare: now - 100, BestShare: 20, Sessions: 1}
}

func TestStatistics(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		report := func(edge string, d time.Duration, workers ...pool.WorkerReport) {
			t.Helper()
			must(t, p.Report(ctx, pool.Report{Edge: edge, Time: at(d), Interval: 10_000, Sessions: 3, Height: 100 + int64(d/time.Hour),
				JobTime: at(d) - 5, NetworkDifficulty: 7.5, NetworkWork: "340282366920938463463374607431768211455", Backlog: 2,
				JournalOK: true, Workers: workers,
				Nodes: []pool.NodeReport{{Name: "node", Up: true, Height: 99, Since: time.UnixMilli(statsStart).UTC()}}}))
		}
		s.clock(0)
		v, err := p.View(ctx)
		must(t, err)
		if want := (pool.PoolView{Rejected: map[string]uint64{}}); !reflect.DeepEqual(v, want) {
			t.Fatalf("an empty pool shows %+v", v)
		}
		if a, err := p.AccountView(ctx, miner(0)); err != nil || !reflect.DeepEqual(a, pool.AccountView{Account: miner(0)}) {
			t.Fatalf("an unknown account shows %+v, %v", a, err)
		}

		// the first minute: rates are over the time there was, not over ten minutes
		for d := 10 * time.Second; d <= time.Minute; d += 10 * time.Second {
			report("a", d-time.Millisecond, rig(0, "x", 1000, at(d)))
		}
		s.clock(time.Minute)
		v, err = p.View(ctx)
		must(t, err)
		if !near(v.Hashrate, 1000) || len(v.History) != 1 || !near(v.History[0].Hashrate, 1000) ||
			v.History[0].Time != statsStart/1000 || v.History[0].Workers != 1 {
			t.Fatalf("after a minute: %v H/s, history %+v", v.Hashrate, v.History)
		}

		// two hours of three rigs on two edges; the account's one rig stops half way
		for d := time.Minute + 10*time.Second; d <= 2*time.Hour; d += 10 * time.Second {
			now := d - time.Millisecond
			var workers []pool.WorkerReport
			if d <= time.Hour {
				workers = append(workers, rig(0, "x", 1000, at(now)))
			}
			report("a", now, append(workers, rig(0, "y", 500, at(now)))...)
			report("b", now, rig(1, "", 250, at(now)))
		}
		s.clock(2 * time.Hour)
		v, err = p.View(ctx)
		must(t, err)
		first, last := v.History[10], v.History[len(v.History)-1]
		switch {
		case !near(v.Hashrate, 750), v.Miners != 2, v.Workers != 2, v.Sessions != 6, v.Backlog != 4:
			t.Fatalf("view is %+v", v)
		case v.Height != 101, v.NetworkDifficulty != 7.5, v.JobTime != at(2*time.Hour)-6, v.Reported != at(2*time.Hour)-1:
			t.Fatalf("view is %+v", v)
		case v.NetworkWork != "340282366920938463463374607431768211455", v.JournalError != "":
			t.Fatalf("view is %+v", v)
		case len(v.History) != 120, !near(first.Hashrate, 1750), first.Workers != 3, !near(last.Hashrate, 750), last.Workers != 2:
			t.Fatalf("history has %d points, %+v … %+v", len(v.History), first, last)
		case len(v.Nodes) != 2 || v.Nodes[0].Name != "a: node" || !v.Nodes[0].Up || v.Nodes[0].Since != time.UnixMilli(statsStart).UTC():
			t.Fatalf("nodes are %+v", v.Nodes)
		case v.Accepted != 2*(360+714+714), v.Rejected["stale"] != 360+714+714:
			t.Fatalf("%d accepted, %v rejected", v.Accepted, v.Rejected)
		}
		a, err := p.AccountView(ctx, miner(0))
		must(t, err)
		if a.Address != "addr0" || !near(a.Hashrate, 500) {
			t.Fatalf("account is %+v", a)
		}
		tens, err := p.AccountHistory(ctx, miner(0), 10*time.Minute)
		must(t, err)
		if len(tens) != 12 || !near(tens[2].Hashrate, 1500) || !near(tens[11].Hashrate, 500) || tens[0].Time != statsStart/1000 ||
			tens[2].Workers != 2 || tens[2].Accepted != 240 || tens[2].Rejected["stale"] != 120 {
			t.Fatalf("history of the account is %+v", tens)
		}
		own, err := p.WorkerHistory(ctx, miner(0), "x")
		must(t, err)
		if len(own) != 6 || !near(own[5].Hashrate, 1000) || own[5].Workers != 1 {
			t.Fatalf("history of the worker is %+v", own)
		}
		rates, shares, err := p.Leaders(ctx, 5)
		must(t, err)
		if len(rates) != 2 || rates[0].Account != miner(0) || rates[0].Address != "addr0" || !near(rates[0].Value, 500) || !near(rates[1].Value, 250) ||
			len(shares) != 2 || shares[0].Value != 20 {
			t.Fatalf("leaders are %+v, %+v", rates, shares)
		}
		x, y := a.Workers[0], a.Workers[1]
		if len(a.Workers) != 2 || x.Name != "x" || x.Hashrate != 0 || x.Accepted != 720 || x.LastShare != at(time.Hour)-101 {
			t.Fatalf("worker x is %+v", x)
		}
		if want := (pool.WorkerView{Name: "y", Agent: "rig/1.0", Hashrate: y.Hashrate, Usual: y.Usual, Difficulty: 16, LastShare: at(2*time.Hour) - 101,
			BestShare: 20, Accepted: 2 * 714, Rejected: map[string]uint64{"stale": 714}}); !near(y.Hashrate, 500) || math.Abs(y.Usual-500) > 10 || !reflect.DeepEqual(y, want) {
			t.Fatalf("worker y is %+v", y)
		}

		// half an hour of silence
		s.clock(2*time.Hour + 30*time.Minute)
		v, err = p.View(ctx)
		must(t, err)
		if v.Hashrate != 0 || v.Miners != 0 || v.Workers != 0 || v.Sessions != 0 || v.Nodes != nil || v.Reported != at(2*time.Hour)-1 {
			t.Fatalf("a silent pool shows %+v", v)
		}

		// a day later the first two hours are gone, and the rings have turned
		report("b", 25*time.Hour, rig(0, "y", 100, at(25*time.Hour)))
		s.clock(25*time.Hour + 30*time.Second)
		v, err = p.View(ctx)
		must(t, err)
		if v.Accepted >= 2*(360+714+714) || !near(v.Hashrate, 100*10/600.) {
			t.Fatalf("a day later: %d accepted, %v H/s", v.Accepted, v.Hashrate)
		}
		a, err = p.AccountView(ctx, miner(0))
		must(t, err)
		if len(a.Workers) != 1 || a.Workers[0].Accepted != 2 || a.Workers[0].Rejected["stale"] != 1 || !near(a.Hashrate, 1000/600.) {
			t.Fatalf("a day later the account is %+v", a)
		}
		tens, err = p.AccountHistory(ctx, miner(0), 10*time.Minute)
		must(t, err)
		days, err := p.AccountHistory(ctx, miner(0), 24*time.Hour)
		must(t, err)
		if len(tens) != 12 || len(days) != 2 || days[0].Accepted+days[1].Accepted != 2*(360+714+1) {
			t.Fatalf("a day later the history is %+v, by days %+v", tens, days)
		}
		if edges := s.raw.HKeys(ctx, p.k.edges()).Val(); !slices.Equal(edges, []string{"b"}) {
			t.Fatalf("edges kept are %q", edges)
		}
	})
}

// TestStatisticsHostile reports names and agents that are commands, keys, patterns and scripts.
func TestStatisticsHostile(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		s.clock(time.Minute)
		names := []string{"", "*", "a:b", "{other}", "}:meta", "\r\nFLUSHALL\r\n", "\x00\xff", "'..redis.call('flushall')..'",
			"%s%d", "<script>", strings.Repeat("n", 63), "ключ"}
		r := pool.Report{Edge: "e:{x}\n*", Time: at(time.Minute - 1), Interval: 10_000, JournalError: "disk \"full\"\n", Sessions: len(names)}
		for _, n := range names {
			w := rig(0, n, 1, r.Time)
			w.Agent = n + strings.Repeat("é", 100)
			w.Rejected = map[string]uint64{"stale": 1, n + "made up": 2}
			r.Workers = append(r.Workers, w)
		}
		unknown := rig(0, "nobody", 0, r.Time)
		unknown.Account, unknown.Accepted = pool.AccountID{}, 0
		r.Workers = append(r.Workers, unknown)
		must(t, p.Report(ctx, r))

		a, err := p.AccountView(ctx, miner(0))
		must(t, err)
		var got []string
		for _, w := range a.Workers {
			got = append(got, w.Name)
			if w.Accepted != 2 || w.Rejected["stale"] != 1 || w.Rejected["other"] != 2 || len(w.Rejected) != 2 {
				t.Errorf("worker %q is %+v", w.Name, w)
			}
			if len(w.Agent) > maxAgent {
				t.Errorf("agent of worker %q has %d bytes", w.Name, len(w.Agent))
			}
		}
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Fatalf("workers are %q, want %q", got, names)
		}
		v, err := p.View(ctx)
		must(t, err)
		if v.Workers != len(names) || v.Miners != 1 || v.JournalError != "e:{x}\n*: disk \"full\"\n" || v.Rejected["stale"] != uint64(len(names))+1 {
			t.Fatalf("view is %+v", v)
		}
		for _, k := range s.raw.Keys(ctx, "*").Val() {
			if !strings.HasPrefix(k, "adit:{main}:") || strings.ContainsAny(k, "*\r\n'<%") {
				t.Errorf("a name got into the key %q", k)
			}
		}
	})
}

// TestStatisticsBounded reports for two simulated days and looks at what is kept.
func TestStatisticsBounded(t *testing.T) {
	s := startReal(t, durable...)
	ctx := t.Context()
	p := s.pool(t)
	for d := time.Duration(0); d < 48*time.Hour; d += 5 * time.Minute {
		must(t, p.Report(ctx, pool.Report{Edge: "a", Time: at(d), Interval: 300_000, JournalOK: true,
			Workers: []pool.WorkerReport{rig(0, "x", 1, at(d))}}))
	}
	for key, most := range map[string]int64{
		p.k.worker(miner(0), "x"): 9 + recent + 2*dayOfHours,
		p.k.account(miner(0)):     2 + recent,
		p.k.edges():               1,
	} {
		if n := s.raw.HLen(ctx, key).Val(); n == 0 || n > most {
			t.Errorf("%s has %d fields, want up to %d", key, n, most)
		}
	}
	for _, key := range s.raw.Keys(ctx, "*:stats:*").Val() {
		if key == p.k.leaders("shares") {
			continue // best shares are kept
		}
		if ttl := s.raw.PTTL(ctx, key).Val(); ttl <= 0 || ttl > statsTTL {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
}

// What rigs asked is kept by worker and kind, the last word of each, the newest first; a code counts for an hour,
// and an account has so many.
func TestNotes(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		p := s.pool(t)
		s.clock(0)
		note := func(account int, worker string, value string, d time.Duration) pool.Note {
			return pool.Note{Account: miner(account), Worker: worker, Kind: pool.NoteCode, Value: value, Time: at(d)}
		}
		last, code := note(0, "rig\"1", "D", 45*time.Minute), note(0, "", "AB", -time.Second)
		must(t, p.KeepNotes(ctx, nil))
		must(t, p.KeepNotes(ctx, []pool.Note{note(0, "rig\"1", "B", -time.Hour), code, note(1, "x", "C", 0)}))
		must(t, p.KeepNotes(ctx, []pool.Note{last}))
		got, err := p.Notes(ctx, miner(0))
		must(t, err)
		if want := []pool.Note{last, code}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		s.clock(90 * time.Minute)
		got, err = p.Notes(ctx, miner(0))
		must(t, err)
		if want := []pool.Note{last}; !reflect.DeepEqual(got, want) {
			t.Errorf("an hour and a half later %+v, want %+v", got, want)
		}
		var many []pool.Note
		for i := range 2 * maxNoted {
			many = append(many, note(2, fmt.Sprint(i), "1", time.Hour+time.Duration(i)*time.Millisecond))
		}
		must(t, p.KeepNotes(ctx, many))
		got, err = p.Notes(ctx, miner(2))
		must(t, err)
		if len(got) != maxNoted || got[0] != many[2*maxNoted-1] || got[maxNoted-1] != many[maxNoted] {
			t.Errorf("%d notes, from %+v to %+v", len(got), got[0], got[len(got)-1])
		}
	})
}
