package stratum

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/rs/zerolog"
)

// Conn is the server's view of one connection. What it exports is for the dialect, which calls it from
// Message and AppendJob only: the lock is held there.
type Conn struct {
	// Static after construction.
	srv    *Server
	nc     net.Conn
	remote netip.Addr
	opened time.Time
	wake   chan struct{} // one place, never closed: the writer has something to look at
	room   chan struct{} // one place, never closed: the outbox was emptied by some
	stop   chan struct{} // closed by drain: read no more
	broken chan struct{} // closed by the writer when it has ended

	stopOnce sync.Once
	offered  atomic.Bool // there is a job that this connection does not have

	// Owned by the reader.
	bucket  bucket
	strikes int

	// Guarded by mu.
	mu       sync.Mutex
	session  *pool.Session // nil until the dialect asks for it
	state    any           // the dialect's
	users    map[string]int
	out      outbox
	renew    bool            // issue the current job again
	after    uint64          // no job before the replies up to here are written
	now      time.Time       // of the message in hand
	sub      pool.Submission // of the message in hand; here, not to be allocated
	accepted bool            // the message in hand was an accepted share
	readDone bool
	reason   Close
}

func newConn(s *Server, nc net.Conn, remote netip.Addr) *Conn {
	now := time.Now()
	return &Conn{
		srv: s, nc: nc, remote: remote, opened: now,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		stop: make(chan struct{}), broken: make(chan struct{}),
		bucket: newBucket(s.opts.Rate, s.opts.Burst, now), state: s.opts.Dialect.NewState(),
	}
}

// run serves the connection to its end. It reads; the writer that it starts ends before it returns.
func (c *Conn) run() {
	go c.write()
	reason := c.read()
	c.end(reason)
	c.mu.Lock()
	c.readDone = true
	c.mu.Unlock()
	c.poke()
	<-c.broken
	c.nc.Close()

	c.mu.Lock()
	session, reason := c.session, c.reason
	c.session = nil
	c.mu.Unlock()
	if session != nil {
		c.srv.opts.Pool.EndSession(session)
	}
	c.srv.counters.closed[reason].Add(1)
	c.srv.log.Debug().Func(func(e *zerolog.Event) {
		if session != nil {
			e.Str("agent", session.Agent).Int("users", len(session.Workers))
		}
	}).Str("remote", c.nc.RemoteAddr().String()).Stringer("reason", reason).
		Dur("open", time.Since(c.opened)).Msg("connection closed")
}

// end notes why the connection ends; the first reason counts.
func (c *Conn) end(r Close) {
	c.mu.Lock()
	if c.reason == CloseNone {
		c.reason = r
	}
	c.mu.Unlock()
}

// drain makes the reader stop. The writer then says what is left to say.
func (c *Conn) drain() {
	c.stopOnce.Do(func() { close(c.stop) })
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

func (c *Conn) stopping() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// poke makes the writer look.
func (c *Conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// offer says that there is a new job. It waits for nothing.
func (c *Conn) offer() {
	c.offered.Store(true)
	c.poke()
}

// review asks vardiff whether the difficulty still fits.
func (c *Conn) review(now time.Time) {
	c.mu.Lock()
	renew := c.vardiff(now)
	c.mu.Unlock()
	if renew {
		c.poke()
	}
}

// ready reports whether the miner can be given work. Caller holds mu.
func (c *Conn) ready() bool {
	return c.session != nil && c.session.Subscribed && len(c.session.Workers) > 0
}
