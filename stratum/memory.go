package stratum

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/pool"
)

// MemoryOptions configure a Memory. A zero field means its default.
type MemoryOptions struct {
	Resume time.Duration // how long a lost connection's session may be taken up again; default 10 min, -1 never
	Cap    int64         // bytes that connections and kept sessions may hold; default 1 GiB
}

// Memory is what the listeners of one pool remember together, so that a miner may come back to any of
// them: sessions whose connection broke, and workers' last difficulties. And it is the bound of what all
// their connections together hold: the bytes are counted by what each is known to cost, and beyond the cap
// kept sessions go first, then who has no work yet, then shares of jobs before the last (their sessions get a
// clean job), then the connections that hold most; newcomers are refused.
type Memory struct {
	// Static after construction.
	cap        int64
	resumables *resumables
	remembered *recent[workerID, pool.Difficulty]

	conns atomic.Int64 // bytes of connections
}

// workerID names a worker over its connections.
type workerID struct {
	account pool.AccountID
	name    string
}

// maxRemembered is how many workers' last difficulties are kept for their next start.
const maxRemembered = 1 << 16

// NewMemory returns an empty one.
func NewMemory(o MemoryOptions) *Memory {
	defaultTo(&o.Resume, 10*time.Minute)
	defaultTo(&o.Cap, 1<<30)
	return &Memory{cap: o.Cap, resumables: newResumables(o.Resume), remembered: newRecent[workerID, pool.Difficulty](maxRemembered)}
}

// Held is how many bytes are counted now.
func (m *Memory) Held() int64 { return m.conns.Load() + m.resumables.size() }

// over is by how many bytes more than a part of the cap is held, given in percent.
func (m *Memory) over(percent int64) int64 { return m.Held() - m.cap/100*percent }

// crowded reports that more than the cap is held, when no kept session is left to be given up.
func (m *Memory) crowded() bool {
	if m.over(100) <= 0 {
		return false
	}
	m.resumables.shrink(m.over(90))
	return m.over(100) > 0
}

// What things cost, as measured with ten thousand of each and rounded up.
const (
	costConn   = 24 << 10 // the goroutine, the Conn, its session and statistics, and what the collector leaves lying
	costTLS    = 32 << 10 // beside that
	costUser   = 512
	costSeen   = 64
	costIssued = 160
)

// costOf is about what a session holds.
func costOf(s *pool.Session) int64 {
	if s == nil {
		return 0
	}
	return int64(len(s.Seen)*costSeen + len(s.Issued)*costIssued + len(s.Workers)*costUser)
}

// weigh counts anew what a connection holds. Caller holds mu.
func (c *Conn) weigh() {
	held := int64(costConn+cap(c.out.buf)) + int64(c.read) + costOf(c.session)
	if c.encrypted {
		held += costTLS
	}
	if held == c.held {
		return
	}
	c.srv.memory.conns.Add(held - c.held)
	grown := held > c.held
	c.held = held
	if grown && c.srv.memory.over(100) > 0 {
		select {
		case c.srv.crowded <- struct{}{}:
		default:
		}
	}
}

// unweigh takes a connection that has ended out of the count.
func (c *Conn) unweigh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.srv.memory.conns.Add(-c.held)
	c.held = 0
}

// keepWithin relieves the memory whenever it is crowded, until ctx ends.
func (s *Server) keepWithin(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.crowded:
			s.relieve(s.snapshot(nil))
		}
	}
}

// relieve brings what is held back under nine tenths of the cap, as far as this listener can.
func (s *Server) relieve(conns []*Conn) {
	m := s.memory
	if !m.crowded() {
		return
	}
	type load struct {
		c          *Conn
		held, seen int64
	}
	var loads []load
	for _, c := range conns {
		c.mu.Lock()
		l := load{c: c, held: c.held}
		if c.session != nil {
			l.seen = int64(len(c.session.Seen) * costSeen)
		}
		c.mu.Unlock()
		loads = append(loads, l)
	}
	free := m.over(90)
	slices.SortFunc(loads, func(a, b load) int { return int(b.seen - a.seen) })
	for i := 0; i < len(loads) && free > 0 && loads[i].seen > costConn; i++ {
		loads[i].c.crowd()
		loads[i].held -= loads[i].seen
		free -= loads[i].seen
		s.counters.crowded.Add(1)
	}
	slices.SortFunc(loads, func(a, b load) int { return int(b.held - a.held) })
	for i := 0; i < len(loads) && free > 0 && loads[i].held > 2*costConn; i++ {
		loads[i].c.kick(CloseMemory)
		free -= loads[i].held
	}
}

// crowd makes a session forget what it did before its next job, and gives it that.
func (c *Conn) crowd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		c.session.Crowded = true
		c.renew = true
		c.poke()
	}
}
