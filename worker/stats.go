package worker

import (
	"slices"
	"strings"
	"sync"
	"time"
)

const maxRejects = 32 // kinds of reject kept apart

// Stats counts what a rig does. The zero value is ready; all methods may be
// called at any time from any goroutine.
type Stats struct {
	mu       sync.Mutex
	rate     rate
	counted  Counts
	rejected map[rejectKind]uint64
	kernel   string
	poolNow  PoolStatus
	devices  []*device // replaced, never changed
}

// rejectKind is a kind of reject: the pool's code (0 when it gave none) and text.
type rejectKind struct {
	code   int
	reason string
}

// Counts is what a rig has done since it started.
type Counts struct {
	Hashes    uint64   `json:"hashes"`
	Hashrate  float64  `json:"hashrate"`  // hashes per second over the last 30 s
	Submitted uint64   `json:"submitted"` // shares sent
	Accepted  uint64   `json:"accepted"`
	Rejected  uint64   `json:"rejected"` // all refused shares, stale ones among them
	Stale     uint64   `json:"stale"`    // refused because the job had ended
	Lost      uint64   `json:"lost"`     // shares sent and never answered
	Connects  uint64   `json:"connects"` // connections made
	Rejects   []Reject `json:"rejects"`  // the kinds of Rejected, most frequent first
}

// Reject is one kind of refused share. Code is the pool's number, 0 when it gave
// none.
type Reject struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Counts copies the counters.
func (s *Stats) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counted
	c.Hashrate = s.rate.perSecond(time.Now())
	for kind, n := range s.rejected {
		c.Rejects = append(c.Rejects, Reject{kind.code, kind.reason, n})
	}
	slices.SortFunc(c.Rejects, func(a, b Reject) int {
		switch {
		case a.Count != b.Count:
			if a.Count > b.Count {
				return -1
			}
			return 1
		case a.Code != b.Code:
			return a.Code - b.Code
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return c
}

func (s *Stats) start(kernel string, devices []*device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kernel, s.devices = kernel, devices
	if s.rate.started.IsZero() {
		s.rate.started = time.Now()
	}
}

func (s *Stats) addHashes(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted.Hashes += n
	s.rate.add(n, time.Now())
}

func (s *Stats) connected() { s.add(func(c *Counts) { c.Connects++ }) }
func (s *Stats) submitted() { s.add(func(c *Counts) { c.Submitted++ }) }
func (s *Stats) accepted()  { s.add(func(c *Counts) { c.Accepted++ }) }
func (s *Stats) lost()      { s.add(func(c *Counts) { c.Lost++ }) }

func (s *Stats) add(change func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.counted)
}

// refused counts a refused share. The pool writes the reason, so the number of
// kinds is bounded; those beyond are counted as "other".
func (s *Stats) refused(r refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted.Rejected++
	if r.stale() {
		s.counted.Stale++
	}
	if s.rejected == nil {
		s.rejected = map[rejectKind]uint64{}
	}
	kind := rejectKind(r)
	if _, known := s.rejected[kind]; !known && len(s.rejected) >= maxRejects {
		kind = rejectKind{reason: "other"}
	}
	s.rejected[kind]++
}

// stale: code 21 by the standard table; pools without codes say it in words.
func (r refusal) stale() bool {
	return r.code == 21 || strings.Contains(strings.ToLower(r.reason), "stale")
}
