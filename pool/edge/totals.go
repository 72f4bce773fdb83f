package edge

import (
	"context"
	"maps"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Totals are what an edge counted since its start. Shares are counted when they are judged.
type Totals struct {
	Accepted uint64            // shares
	Hashes   float64           // expected, of accepted shares; its rate is the hashrate
	Rejected map[string]uint64 // by Reject's name, every one of them
	Found    uint64            // blocks
	Blocks   map[string]uint64 // found blocks by what the nodes said of them at last, every answer
}

// Totals reads the counters.
func (e *Edge) Totals() Totals {
	t := Totals{Rejected: make(map[string]uint64)}
	s := e.stats
	s.mu.Lock()
	t.Accepted, t.Hashes = s.accepted, s.hashes
	for _, r := range s.rejects {
		t.Rejected[r.String()] = s.refused[r]
	}
	s.mu.Unlock()
	c := e.candidates
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Found, t.Blocks = c.foundTotal, maps.Clone(c.results)
	return t
}

// SubmitTimes are how long sampled shares took from their arrival until they were durable.
func (e *Edge) SubmitTimes() *pool.Durations { return &e.sampler.took }

// sampleEvery is how many accepted shares are judged for one whose way to the disk is timed.
const sampleEvery = 32

// sampler times some shares. Those that come while it is busy are not missed.
type sampler struct {
	took  pool.Durations
	begun chan sample // static
}

type sample struct {
	at     time.Time
	commit *pool.Commit
}

func newSampler() *sampler { return &sampler{begun: make(chan sample, 16)} }

// begin times a share that arrived at a moment, unless enough are timed already.
func (s *sampler) begin(at time.Time, c *pool.Commit) {
	select {
	case s.begun <- sample{at, c}:
	default:
	}
}

// run waits for the commits of timed shares, which come in the order of their beginning, until ctx ends.
func (s *sampler) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-s.begun:
			select {
			case <-ctx.Done():
				return
			case <-b.commit.Done():
				if b.commit.Err() == nil {
					s.took.Observe(time.Since(b.at))
				}
			}
		}
	}
}
