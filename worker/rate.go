package worker

import "time"

const rateWindow = 30 // seconds

// rate counts hashes in buckets of a second. Its owner guards it.
type rate struct {
	started time.Time
	seconds [rateWindow + 1]int64 // which second, counted from started, a bucket holds
	buckets [rateWindow + 1]uint64
}

func (r *rate) add(n uint64, now time.Time) {
	second := int64(now.Sub(r.started) / time.Second)
	i := second % int64(len(r.buckets))
	if r.seconds[i] != second {
		r.seconds[i], r.buckets[i] = second, 0
	}
	r.buckets[i] += n
}

// perSecond is over the last whole seconds and the running one.
func (r *rate) perSecond(now time.Time) float64 {
	if r.started.IsZero() {
		return 0
	}
	age := now.Sub(r.started)
	second := int64(age / time.Second)
	first := max(0, second-rateWindow)
	var sum uint64
	for i, n := range r.buckets {
		if r.seconds[i] >= first {
			sum += n
		}
	}
	window := age - time.Duration(first)*time.Second
	return float64(sum) / max(window, time.Millisecond).Seconds()
}
