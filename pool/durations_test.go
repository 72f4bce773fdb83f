package pool

import (
	"math"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	var d Durations
	for _, took := range []time.Duration{-time.Second, time.Millisecond, time.Millisecond + 1, 10 * time.Second, time.Hour} {
		d.Observe(took)
	}
	buckets, sum := d.Buckets()
	want := map[float64]uint64{0.001: 2, 0.002: 3, 5: 3, 10: 4, math.Inf(1): 5}
	for _, b := range buckets {
		if n, ok := want[b.Seconds]; ok && n != b.Count {
			t.Errorf("up to %v s: %d, want %d", b.Seconds, b.Count, n)
		}
		delete(want, b.Seconds)
	}
	if len(want) > 0 || math.Abs(sum-3610.002) > 1e-6 {
		t.Errorf("no bound %v; sum %v", want, sum)
	}
	if n := testing.AllocsPerRun(100, func() { d.Observe(time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
