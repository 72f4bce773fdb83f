package worker

import (
	"context"
	"math"
	"sync"
	"time"
)

// pace is the time that a portion of hashes under a limit should last: short
// enough to be smooth, long enough to cost nothing.
const pace = 50 * time.Millisecond

// Limit holds all threads of a rig to a number of hashes per second. It may be
// changed while the rig runs; the zero value is no limit.
type Limit struct {
	mu      sync.Mutex
	rate    float64       // hashes per second; 0 = no limit
	last    time.Time     // when the last portion was handed out
	owed    float64       // its hashes, to be worked off before the next
	changed chan struct{} // closed and replaced by Set
}

// NewLimit makes a limit of hashesPerSecond; see Set.
func NewLimit(hashesPerSecond float64) *Limit {
	l := &Limit{}
	l.Set(hashesPerSecond)
	return l
}

// Set changes the limit at once, also for threads that wait for their turn. Zero,
// a negative number, NaN and infinity mean no limit; the lowest is one hash in
// 10^6 s.
func (l *Limit) Set(hashesPerSecond float64) {
	if !(hashesPerSecond > 0) || math.IsInf(hashesPerSecond, 0) {
		hashesPerSecond = 0
	} else {
		hashesPerSecond = max(hashesPerSecond, 1e-6)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = hashesPerSecond
	l.owed = min(l.owed, l.portion()) // what was owed at a high rate is not worked off at a low one
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

// Rate is the limit in hashes per second; 0 means none.
func (l *Limit) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// take waits until it may hand out a portion of 1 to most hashes. It gives 0
// only when ctx has ended.
func (l *Limit) take(ctx context.Context, most uint64) uint64 {
	for ctx.Err() == nil {
		n, wait, changed := l.try(most)
		if n > 0 {
			return n
		}
		turn := time.NewTimer(wait)
		select {
		case <-turn.C:
		case <-changed:
		case <-ctx.Done():
		}
		turn.Stop()
	}
	return 0
}

// owe adds hashes beyond those that were handed out last.
func (l *Limit) owe(hashes uint64) {
	if hashes == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed += float64(hashes)
}

// try hands out a portion, or says how long to wait and what may end the wait.
func (l *Limit) try(most uint64) (n uint64, wait time.Duration, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	if l.rate == 0 {
		return most, 0, nil
	}
	now := time.Now()
	span := time.Duration(l.owed / l.rate * float64(time.Second))
	due := l.last.Add(span)
	if wait := due.Sub(now); wait > 0 {
		return 0, wait, l.changed
	}
	// A turn taken late shortens the next wait by at most one portion.
	if late := now.Sub(due); late > span {
		due = now.Add(-span)
	}
	n = min(most, uint64(l.portion()))
	l.last, l.owed = due, float64(n)
	return n, 0, nil
}

// portion is how many hashes are handed out at once, at least one.
func (l *Limit) portion() float64 { return max(1, math.Floor(l.rate*pace.Seconds())) }
