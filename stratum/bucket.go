package stratum

import "time"

// bucket is a token bucket. It is not safe for concurrent use.
type bucket struct {
	rate, burst float64 // tokens a second; most that are kept
	tokens      float64
	last        time.Time
}

func newBucket(rate float64, burst int, now time.Time) bucket {
	return bucket{rate: rate, burst: float64(burst), tokens: float64(burst), last: now}
}

// take removes a token and returns how long to wait before acting on it, 0 when there was one.
func (b *bucket) take(now time.Time) time.Duration {
	if dt := now.Sub(b.last); dt > 0 {
		b.tokens = min(b.tokens+dt.Seconds()*b.rate, b.burst)
		b.last = now
	}
	b.tokens--
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / b.rate * float64(time.Second))
}

// charge takes tokens that are owed from now on.
func (b *bucket) charge(tokens float64) { b.tokens -= tokens }
