package redis

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// worst is a report of workers with every reason, more of it than any rig sends.
func worst(now int64, account, workers int) pool.Report {
	r := pool.Report{Edge: "a", Time: now, Interval: 600_000, JournalOK: true}
	for i := range workers {
		w := rig(account, fmt.Sprint("w", i), 1e15, now)
		w.Accepted, w.Rejected = 1500, make(map[string]uint64)
		for n, reason := range pool.Rejects() {
			w.Rejected[reason.String()] = uint64(200 + n)
		}
		r.Workers = append(r.Workers, w)
	}
	return r
}

// TestHistoryBounded fills an account of three workers for eight days of ten minutes and two years of days
// with shares refused for every reason there is, and measures what Redis needs.
func TestHistoryBounded(t *testing.T) {
	s := startReal(t, durable...)
	ctx := t.Context()
	p := s.pool(t)
	for d := 740 * 24 * time.Hour; d > 8*24*time.Hour; d -= 24 * time.Hour {
		must(t, p.Report(ctx, worst(at(-d), 0, 3)))
	}
	for d := 8 * 24 * time.Hour; d >= 0; d -= 10 * time.Minute {
		must(t, p.Report(ctx, worst(at(-d), 0, 3)))
	}
	s.clock(0)
	for key, most := range map[string]int64{p.k.historyAccount(miner(0)): 64 << 10, p.k.historyWorker(miner(0), "w0"): 8 << 10, p.k.historyPool(): 1 << 20} {
		n := s.raw.MemoryUsage(ctx, key, 0).Val()
		t.Logf("%s needs %d bytes", key, n)
		if n == 0 || n > most {
			t.Errorf("%s needs %d bytes, want up to %d", key, n, most)
		}
	}
	for step, want := range map[time.Duration]int{10 * time.Minute: 1000, 24 * time.Hour: 729} {
		h, err := p.AccountHistory(ctx, miner(0), step)
		must(t, err)
		if len(h) < want || h[len(h)-2].Rejected["other"] == 0 || len(h[len(h)-2].Rejected) != 4 {
			t.Errorf("steps of %v: %d points, the last %+v", step, len(h), h[len(h)-1])
		}
	}
	if h, err := p.WorkerHistory(ctx, miner(0), "w0"); err != nil || len(h) < 287 {
		t.Errorf("a worker has %d points, %v", len(h), err)
	}
	if ttl := s.raw.PTTL(ctx, p.k.historyWorker(miner(0), "w0")).Val(); ttl <= 48*time.Hour || ttl > workerTTL {
		t.Errorf("a quiet worker goes after %v", ttl)
	}
}

// TestHistoryOfEdges adds the reports of two edges that know nothing of each other.
func TestHistoryOfEdges(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		ctx := t.Context()
		a, b := s.pool(t), s.pool(t)
		for d := time.Duration(0); d < 20*time.Minute; d += 10 * time.Second {
			must(t, a.Report(ctx, pool.Report{Edge: "a", Time: at(d), Interval: 10_000, Workers: []pool.WorkerReport{rig(0, "x", 100, at(d))}}))
			must(t, b.Report(ctx, pool.Report{Edge: "b", Time: at(d), Interval: 10_000, Workers: []pool.WorkerReport{rig(0, "x", 50, at(d))}}))
		}
		s.clock(20 * time.Minute)
		h, err := a.AccountHistory(ctx, miner(0), 10*time.Minute)
		must(t, err)
		if len(h) != 2 || !near(h[0].Hashrate, 150) || !near(h[1].Hashrate, 150) || h[0].Workers != 2 || h[0].Accepted != 240 {
			t.Fatalf("history is %+v", h)
		}
	})
}

func TestChunk(t *testing.T) {
	s := &workerTens
	first := int64(48 * 1000)
	points := []point{{bucket: first, work: 1.5e15, presence: 600, accepted: 3}, {bucket: first + 47, work: 2, presence: 10, accepted: 1 << 40,
		rejected: map[uint8]uint64{uint8(pool.RejectStale): 9, uint8(pool.RejectDuplicate): 1}}}
	got := s.decodeChunk(s.encodeChunk(first, points))
	points[0].work = float64(float32(1.5e15))
	if !reflect.DeepEqual(got, points) {
		t.Fatalf("%+v, want %+v", got, points)
	}
	// a fourth reason goes into "other", and stays there
	many := point{bucket: first + 1, rejected: map[uint8]uint64{1: 5, 2: 4, 3: 3, 4: 2}}
	b := s.merge(s.merge(s.encodeChunk(first, points), []point{many}), []point{many})
	if got := s.decodeChunk(b)[1].rejected; !reflect.DeepEqual(got, map[uint8]uint64{1: 10, 2: 8, otherReason: 10}) {
		t.Fatalf("reasons %v", got)
	}
	// a newer chunk takes the place of an older one
	if got := s.decodeChunk(s.merge(b, []point{{bucket: first + 48*7, work: 1}})); len(got) != 1 || got[0].bucket != first+48*7 {
		t.Fatalf("%+v", got)
	}
}

func FuzzChunk(f *testing.F) {
	s := &accountTens
	f.Add([]byte{})
	f.Add(s.encodeChunk(72*5, []point{{bucket: 72 * 5, work: 3, accepted: 1, rejected: map[uint8]uint64{3: 1}}, {bucket: 72*5 + 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		points := s.decodeChunk(b)
		for i, p := range points {
			if math.IsNaN(p.work) || p.work < 0 || i > 0 && p.bucket <= points[i-1].bucket {
				t.Fatalf("%+v", points)
			}
		}
		if len(points) > 0 && len(points) <= int(s.points) {
			first := points[0].bucket
			if again := s.decodeChunk(s.encodeChunk(first, points)); len(again) != len(points) && points[len(points)-1].bucket-first < s.points {
				t.Fatalf("%d points became %d", len(points), len(again))
			}
		}
		s.history(statsStart, []any{string(b)})
	})
}
