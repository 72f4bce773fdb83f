// Package stratum is the server that miners connect to: it accepts, limits and drains connections, keeps
// each one's session, gives out jobs when there are new ones and holds back the answer to an accepted
// share until the share is durable. What the bytes mean is a [Dialect]'s matter, what a share is worth is
// the [Pool]'s.
//
// Life of a connection: accepted and counted; one goroutine reads whole messages and hands them to the
// dialect, one writes while there is something to say. Replies leave in the order of their requests. The reply to an accepted share waits
// for its commit and those behind it wait with it; a new job overtakes waiting replies, but never the
// reply to the request that brought it (subscribe, authorize, a suggested difficulty). A job is issued at
// the moment it is written, so that a slow reader has at most one on its way and always gets the newest.
package stratum

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/rs/zerolog"
)

// Options configure a Server. A zero field means its default.
type Options struct {
	Pool        Pool
	Dialect     Dialect
	Limits      pool.Limits
	VersionMask uint32 // bits that submissions may roll; default 1fffe000 (BIP320)
	FixVersion  bool   // none may be rolled

	TLS       *tls.Config    // nil: plain text only; see Certificate
	TLSOnly   bool           // else the first byte of a connection tells TLS from plain text
	ProxyFrom []netip.Prefix // from here a connection must begin with a PROXY header, from elsewhere it is no header
	Bans      *Bans          // shared by listeners; default: own ones, in memory
	Memory    *Memory        // shared by a pool's listeners; default: an own one

	MaxConns  int           // default 18000
	MaxPerIP  int           // of one IPv4 address or IPv6 /64 that has shown no hashrate; default 1024
	MaxUsers  int           // authorized on one connection; default 2048
	Handshake time.Duration // from accept until subscribed and authorized; default 30 s
	Line      time.Duration // from a message's first byte to its last; default 30 s
	Idle      time.Duration // between messages; default 10 min
	Write     time.Duration // for one write, and for what is left to say at the end; default 10 s
	Rate      float64       // accepted shares a second of one connection, beyond which it is read more slowly; other messages count five; default 500
	Burst     int           // as many may come at once; default 500
	Strikes   int           // unreadable messages without an accepted share between them, then it is dropped; default 16
	Refusals  int           // refused shares or logins likewise; default 512
	Reconnect time.Duration // at the end miners are sent away one by one over this time; default at once, in silence

	Log zerolog.Logger
}

// provenShares are accepted shares of one connection that show a hashrate.
const provenShares = 16

// vardiffInterval is how often every session is asked whether its difficulty still fits.
const vardiffInterval = 10 * time.Second

func (o *Options) setDefaults() {
	defaultTo(&o.VersionMask, pool.MaskBIP320)
	if o.FixVersion {
		o.VersionMask = 0
	}
	defaultTo(&o.MaxConns, 18000)
	defaultTo(&o.MaxPerIP, 1024)
	defaultTo(&o.MaxUsers, 2048)
	defaultTo(&o.Handshake, 30*time.Second)
	defaultTo(&o.Line, 30*time.Second)
	defaultTo(&o.Idle, 10*time.Minute)
	defaultTo(&o.Write, 10*time.Second)
	defaultTo(&o.Rate, 500)
	defaultTo(&o.Burst, 500)
	defaultTo(&o.Strikes, 16)
	defaultTo(&o.Refusals, 512)
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Server serves one listener.
type Server struct {
	// Static after construction.
	opts    Options
	log     zerolog.Logger
	seldom  zerolog.Logger // for what may happen once a connection
	buffers sync.Pool      // *[]byte, what writers borrow
	readers sync.Pool      // *[readBuffer]byte, what readers borrow
	batches sync.Pool      // *batch
	memory  *Memory
	crowded chan struct{} // one place, never closed: more is held than may be

	versionMask atomic.Uint32
	gate        gate
	counters    counters
	wg          sync.WaitGroup // every connection's goroutines

	mu      sync.Mutex // guards all below
	conns   map[*Conn]struct{}
	perIP   map[netip.Addr]int
	waiting *list.List // *Conn that have no work yet, the oldest first
}

// New checks the options and returns a server that does nothing until Serve.
func New(o Options) (*Server, error) {
	switch l := o.Limits; {
	case o.Pool == nil || o.Dialect == nil:
		return nil, errors.New("stratum server needs a pool and a dialect")
	case !(l.Min > 0) || l.Max < l.Min || l.Start < l.Min || l.Start > l.Max:
		return nil, fmt.Errorf("difficulties must be 0 < min <= start <= max, not min %v, start %v, max %v", l.Min, l.Start, l.Max)
	case o.TLSOnly && o.TLS == nil:
		return nil, errors.New("a listener for TLS only needs a certificate")
	}
	o.setDefaults()
	if o.Bans == nil {
		var err error
		if o.Bans, err = OpenBans(BanOptions{Log: o.Log}); err != nil {
			return nil, err
		}
	}
	if o.Memory == nil {
		o.Memory = NewMemory(MemoryOptions{})
	}
	s := &Server{
		opts: o, log: o.Log, seldom: o.Log.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute}),
		memory: o.Memory, crowded: make(chan struct{}, 1),
		conns: map[*Conn]struct{}{}, perIP: map[netip.Addr]int{}, waiting: list.New(),
	}
	s.versionMask.Store(o.VersionMask)
	s.readers.New = func() any { return new([readBuffer]byte) }
	s.batches.New = func() any { return new(batch) }
	s.buffers.New = func() any { b := make([]byte, 0, 4096); return &b }
	return s, nil
}

// Serve accepts connections until ctx ends. Then it closes ln, ends every connection, see
// Options.Reconnect: it reads no more from it and writes the replies that are due; and returns when all
// goroutines have ended. The error is that of a listener that failed, nil after an ordered end. It may be
// called once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	feeding, stopFeed := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFeed()
	var own sync.WaitGroup
	own.Go(func() {
		<-ctx.Done()
		ln.Close()
	})
	changed := s.opts.Pool.JobChanged() // before anyone can have a job that is replaced
	own.Go(func() { s.feed(feeding, changed) })
	own.Go(func() { s.keepWithin(feeding) })
	err := s.accept(ctx, ln)
	cancel()
	s.farewell()
	stopFeed()
	own.Wait()
	s.wg.Wait()
	return err
}

// accept runs the accept loop until the listener is closed or fails for good.
func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
			}
			// Out of files or memory: those connected are served, others wait in the kernel's queue.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn().Err(err).Dur("pause", pause).Msg("accept failed")
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		s.admit(nc)
	}
}

// feed wakes every connection for a new job, and looks at difficulties by a timer so that a silent miner's
// is lowered.
func (s *Server) feed(ctx context.Context, changed <-chan struct{}) {
	tick := time.NewTicker(vardiffInterval)
	defer tick.Stop()
	var conns []*Conn
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = s.opts.Pool.JobChanged() // first: a job that comes while this one is offered is not missed
			conns = s.snapshot(conns)
			for _, c := range conns {
				c.offer()
			}
		case now := <-tick.C:
			conns = s.snapshot(conns)
			for _, c := range conns {
				c.review(now)
			}
		}
		clear(conns)
	}
}

// snapshot replaces conns by the connections that there are.
func (s *Server) snapshot(conns []*Conn) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns = conns[:0]
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}
