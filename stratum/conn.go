package stratum

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/rs/zerolog"
)

// Conn is the server's view of one connection. What it exports is for the dialect, which calls it from
// Message and the Append methods only: the lock is held there.
type Conn struct {
	// Static after construction.
	srv     *Server
	raw     net.Conn
	real    netip.AddrPort // of raw's other end
	proxied bool           // that is a trusted proxy
	opened  time.Time
	wake    chan struct{} // one place, never closed: the running writer has something to look at
	room    chan struct{} // one place, never closed: the outbox was emptied by some
	stop    chan struct{} // closed by drain: read no more
	broken  chan struct{} // closed when the writer has ended, or will not begin
	try     func(fd uintptr) bool

	stopOnce sync.Once
	offered  atomic.Bool  // there is a job that this connection does not have
	writer   atomic.Int32 // writerIdle, writerRunning, writerOver
	pending  atomic.Bool  // the writer has something to look at
	idle     atomic.Int32 // messages since the last accepted share, up to idleRun; that at first

	// Owned by the reader, which begins with the preface; static for the writer, which begins after it.
	nc       net.Conn       // raw, with TLS on it
	remote   netip.AddrPort // for whom a proxy speaks, else real; not valid for what is not TCP
	bucket   bucket
	malforms int
	turns    int             // messages that may go through the gate
	paid     bool            // the next message has waited for its turn
	plain    syscall.RawConn // nc itself, when nothing stands on it
	got      []byte          // what try read
	gotErr   error

	// Owned by the writer.
	working bool

	// Guarded by the server's mu.
	counted bool
	place   *list.Element // among those without work

	// Guarded by mu.
	mu        sync.Mutex
	session   *pool.Session // nil until the dialect asks for it
	state     any           // the dialect's
	users     map[string]int
	ticket    Ticket         // of the session, zero before it subscribed
	account   pool.AccountID // of the first user, or of the session that was resumed
	bound     bool           // only users of this account are taken
	known     bool           // account is set
	out       outbox
	renew     bool            // issue the current job again
	after     uint64          // no job before the replies up to here are written
	now       time.Time       // of the messages in hand
	batch     *batch          // their shares, nil when there are none that wait
	submitted bool            // the message in hand was a share to be judged
	admitted  bool            // it was a login that added a user
	shares    int             // accepted, not early
	refusals  [numStrikes]int // without an accepted share between them
	read      int             // bytes of the reader's buffer beyond what it borrows
	held      int64           // what it was counted as holding
	readDone  bool
	reason    Close

	encrypted bool // it speaks TLS
}

func newConn(s *Server, nc net.Conn) *Conn {
	now, remote := time.Now(), addrPort(nc.RemoteAddr())
	c := &Conn{
		srv: s, raw: nc, nc: nc, real: remote, remote: remote, proxied: s.proxied(remote), opened: now,
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		stop: make(chan struct{}), broken: make(chan struct{}),
		bucket: newBucket(s.opts.Rate, s.opts.Burst, now), state: s.opts.Dialect.NewState(),
	}
	c.idle.Store(idleRun)
	c.turns = idleTurn // enough to log in
	return c
}

// sendBuffer is what the kernel may hold for a peer that does not read: some jobs. Left alone it holds
// megabytes, and so long a peer that only asks is answered.
const sendBuffer = 64 << 10

// run serves the connection to its end. It reads; the writer has ended before it returns.
func (c *Conn) run() {
	defer c.caught()
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		tcp.SetWriteBuffer(sendBuffer) // else the kernel's own size
	}
	writing := false
	func() {
		defer c.caught()
		reason := c.preface()
		if reason == CloseNone {
			writing = true
			if tcp, ok := c.nc.(*net.TCPConn); ok {
				if plain, err := tcp.SyscallConn(); err == nil {
					c.plain, c.try = plain, c.tryRead
				}
			}
			c.writer.Store(writerIdle)
			c.poke() // there may be a job already
			reason = c.receive()
		}
		c.end(reason)
	}()
	c.mu.Lock()
	c.readDone = true
	c.mu.Unlock()
	if writing {
		c.poke()
		<-c.broken
	} else {
		close(c.broken)
	}
	c.nc.Close()
	c.leave()
}

// leave ends the session, and keeps it for a while where the miner may come back for it.
func (c *Conn) leave() {
	now := time.Now()
	c.mu.Lock()
	session, reason := c.session, c.reason
	c.session = nil
	var open []held // shares whose fate is not known
	if session != nil {
		c.out.forget(session)
		open = c.out.settle(session)
	}
	c.mu.Unlock()
	if session != nil {
		c.srv.opts.Pool.EndSession(session)
		if n := len(session.Issued); n > 0 && len(session.Workers) > 0 && c.shares > 0 {
			w := &session.Workers[0]
			c.srv.memory.remembered.put(workerID{w.Account, w.Name}, session.Issued[n-1].Difficulty)
		}
		if c.ticket != (Ticket{}) && c.known && len(session.Issued) > 0 && reason != CloseCrash && !reason.fault() {
			c.srv.memory.resumables.put(c.ticket, session, c.account, open, now)
		}
	}
	c.unweigh()
	if reason.fault() {
		var account *pool.AccountID
		if c.known {
			account = &c.account
		}
		c.srv.opts.Bans.offence(c.remote.Addr(), account, reason.String(), now)
	}
	c.srv.counters.closed[reason].Add(1)
	c.srv.log.Debug().Func(func(e *zerolog.Event) {
		if session != nil {
			e.Str("agent", session.Agent).Int("users", len(session.Workers))
		}
	}).Str("remote", c.remoteText()).Stringer("reason", reason).
		Dur("open", now.Sub(c.opened)).Msg("connection closed")
}

// remoteText is the other end for logs.
func (c *Conn) remoteText() string {
	if c.real.IsValid() {
		return c.real.String()
	}
	return c.raw.RemoteAddr().String()
}

// kick ends the connection at once.
func (c *Conn) kick(r Close) {
	c.end(r)
	c.raw.Close()
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
	c.raw.SetReadDeadline(time.Unix(1, 0))
}

func (c *Conn) stopping() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// States of the writer, which runs only while there is something to say: an idle connection is one
// goroutine without a buffer.
const (
	writerOver int32 = iota // not begun, or ended
	writerIdle
	writerRunning
)

// poke makes the writer look.
func (c *Conn) poke() {
	c.pending.Store(true)
	if c.writer.CompareAndSwap(writerIdle, writerRunning) {
		go c.write()
		return
	}
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

// review asks vardiff whether the difficulty still fits, and whether somebody was banned by now. A
// connection whose message is being judged is left for the next time: its shares may wait for their turn
// to be hashed, and nobody's new job waits with them.
func (c *Conn) review(now time.Time) {
	defer c.caught()
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if c.known {
		if _, banned := c.srv.opts.Bans.banned(c.remote.Addr(), &c.account, now); banned {
			c.reason = CloseBanned
			c.raw.Close()
			return
		}
	}
	if c.vardiff(now) {
		c.poke()
	}
}

// ready reports whether the miner can be given work. Caller holds mu.
func (c *Conn) ready() bool {
	return c.session != nil && c.session.Subscribed && len(c.session.Workers) > 0
}
