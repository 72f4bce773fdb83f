package view

import (
	"math"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

func TestEffort(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 30, 15, 0, time.UTC).Truncate(time.Minute)
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

func TestLuck(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	var history []pool.HistoryPoint
	for m := now.Add(-day).Unix(); m < now.Unix(); m += 600 {
		history = append(history, pool.HistoryPoint{Time: m, Hashrate: 100})
	}
	var blocks []*ledger.BlockDoc
	for i, state := range []ledger.BlockState{ledger.BlockSubmitted, ledger.BlockImmature, ledger.BlockOrphaned, ledger.BlockRejected, ledger.BlockMature} {
		blocks = append(blocks, &ledger.BlockDoc{State: state, Time: now.Add(-time.Duration(i) * time.Hour).UnixMilli()})
	}
	l, ok := LuckOf("24h", now.Add(-day), history, 10*time.Minute, blocks, true, 864_000)
	if !ok || l.Found != 3 || math.Abs(l.Expected-10) > 1e-9 || math.Abs(l.Ratio()-0.3) > 1e-9 {
		t.Errorf("%+v", l)
	}
	// of a Poisson distribution with mean 10, 4 and 17 are the 2.5 % and 97.5 % quantiles (R: qpois)
	if math.Abs(l.Low-0.4) > 1e-9 || math.Abs(l.High-1.7) > 1e-9 || !l.Odd() {
		t.Errorf("band %v to %v", l.Low, l.High)
	}
	if _, ok := LuckOf("24h", now.Add(-day), history, 10*time.Minute, blocks, false, 864_000); ok {
		t.Error("blocks that do not reach back are taken for all")
	}
	for _, c := range []struct {
		mean      float64
		low, high int
	}{{0.1, 0, 1}, {1, 0, 3}, {3, 0, 7}, {100, 81, 120}, {600, 552, 648}} {
		if low, high := poissonBand(c.mean); low != c.low || high != c.high {
			t.Errorf("mean %v: %d to %d, want %d to %d", c.mean, low, high, c.low, c.high)
		}
	}
}

func TestOdds(t *testing.T) {
	o := OddsOf(1000, 86_400_000)
	if math.Abs(o.Day-(1-math.Exp(-1))) > 1e-12 || o.Seconds != 86_400 || o.Month <= o.Day || o.Year <= o.Month {
		t.Errorf("%+v", o)
	}
	if o := OddsOf(0, 1); o != (Odds{}) {
		t.Errorf("%+v", o)
	}
	if o := OddsOf(1, 1e25); math.Abs(o.Day/86400e-25-1) > 1e-9 {
		t.Errorf("tiny odds are %v", o.Day)
	}
}

func TestMean(t *testing.T) {
	now := time.Unix(6000, 0)
	points := []pool.HistoryPoint{{Time: 3000, Hashrate: 10}, {Time: 3600, Hashrate: 20}, {Time: 4800, Hashrate: 40}}
	for span, want := range map[time.Duration]float64{time.Hour: (10 + 20 + 40) * 600 / 3000.0, 2400 * time.Second: (20 + 40) * 600 / 2400.0, 600 * time.Second: 0} {
		if got := Mean(points, 600*time.Second, span, now); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v: %v, want %v", span, got, want)
		}
	}
}

func TestWorkBetween(t *testing.T) {
	points := []pool.HistoryPoint{{Time: 0, Hashrate: 1}, {Time: 60, Hashrate: 2}, {Time: 120, Hashrate: 3}, {Time: 180, Hashrate: 4}}
	if w, ok := workBetween(points, 60, 30, 210); !ok || w != 30+120+180+120 {
		t.Errorf("%v %v", w, ok)
	}
	for _, c := range [][2]int64{{30, 90}, {-10, 200}, {100, 300}} {
		if _, ok := workBetween(points, 60, c[0], c[1]); ok {
			t.Errorf("%v is told", c)
		}
	}
}

func TestWorkerStatus(t *testing.T) {
	now := time.Unix(10_000, 0)
	for want, w := range map[string]pool.WorkerView{
		WorkerOK:      {LastShare: 9_900_000, Hashrate: 60, Usual: 100},
		WorkerLow:     {LastShare: 9_900_000, Hashrate: 40, Usual: 100},
		WorkerOffline: {LastShare: 9_000_000, Hashrate: 100, Usual: 100},
	} {
		if got := WorkerStatus(&w, now); got != want {
			t.Errorf("%+v is %s, want %s", w, got, want)
		}
	}
}

func TestTrivial(t *testing.T) {
	f := func(network string, hashrate float64, accepted uint64, want bool) {
		t.Helper()
		v := pool.PoolView{NetworkWork: network, History: []pool.HistoryPoint{{Hashrate: 1e30, Accepted: 1}}}
		for range 60 { // the last hour counts
			v.History = append(v.History, pool.HistoryPoint{Hashrate: hashrate, Accepted: accepted})
		}
		if got := trivial(&v); got != want {
			t.Errorf("a block of %s, %v H/s in %d shares a minute: %v", network, hashrate, accepted, got)
		}
	}
	f("2", 1e6, 60, true)        // simnet
	f("4000000", 1e6, 60, false) // four shares of a million a block
	f("3999999", 1e6, 60, true)  // hardly
	f("1000000000000", 1e6, 1, false)
	f("2", 0, 0, false) // nobody mines
	f("", 1e6, 60, false)
	var none pool.PoolView
	if trivial(&none) {
		t.Error("nothing is trivial")
	}
}
