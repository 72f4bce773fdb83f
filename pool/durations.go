package pool

import (
	"math"
	"sync/atomic"
	"time"
)

// durationBounds are the upper bounds of [Durations], in milliseconds.
var durationBounds = [...]int64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000}

// Durations counts how long something took, by upper bounds from 1 ms to 10 s. The zero value counts; it is
// safe for concurrent use.
type Durations struct {
	counts [len(durationBounds) + 1]atomic.Uint64 // the last is above every bound
	sum    atomic.Int64                           // nanoseconds
}

// Observe counts one duration; one below zero, of a clock that was set, counts as 0.
func (d *Durations) Observe(took time.Duration) {
	took = max(took, 0)
	i := 0
	for i < len(durationBounds) && took > time.Duration(durationBounds[i])*time.Millisecond {
		i++
	}
	d.counts[i].Add(1)
	d.sum.Add(int64(took))
}

// Bucket is how many durations were at most a bound.
type Bucket struct {
	Seconds float64 // +Inf for the last, which has all
	Count   uint64
}

// Buckets reads the counts, each with those below it, and the sum of all durations in seconds.
func (d *Durations) Buckets() (buckets []Bucket, sum float64) {
	var n uint64
	for i := range d.counts {
		n += d.counts[i].Load()
		bound := math.Inf(1)
		if i < len(durationBounds) {
			bound = float64(durationBounds[i]) / 1000
		}
		buckets = append(buckets, Bucket{bound, n})
	}
	return buckets, time.Duration(d.sum.Load()).Seconds()
}
