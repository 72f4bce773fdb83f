// Package worker is a rig: it connects to any Stratum V1 pool, searches the jobs
// it gets with a kernel on several threads, and submits the shares.
//
// The message flow is
//
//	rig  mining.configure [["version-rolling"], {…}]      (BIP310)
//	rig  mining.subscribe [agent]                      -> [subscriptions, extranonce1, extranonce2_size]
//	rig  mining.authorize [user, password]             -> true
//	rig  mining.extranonce.subscribe []
//	pool mining.set_difficulty [d], mining.notify [job id, prevhash, coinb1, coinb2,
//	     merkle branch, version, nbits, ntime, clean jobs]
//	rig  mining.submit [user, job id, extranonce2, ntime, nonce, version bits]
//
// with one JSON object a line. The codec is the rig's own: it shares no code with
// a pool, so that no mistake in byte order can be made on both sides at once.
//
// Goroutines: Run's own makes the connections and owns the session; each
// connection has one that reads; each thread of the search has one.
package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/kernels"
)

// Options are what Run needs. Pool, User and Kernel must be set.
type Options struct {
	Pool     string // stratum+tcp://host:port, or stratum+ssl:// for TLS
	User     string // account.worker or address.worker
	Password string // empty: "x"
	Agent    string // empty: "adit-worker"
	Kernel   kernels.Kernel
	Threads  int         // 0: one for each CPU
	Limit    *Limit      // of all threads together; nil: none
	Stats    *Stats      // counts what the rig does; nil: nobody looks
	TLS      *tls.Config // for stratum+ssl; nil: the system's certificates
	Log      zerolog.Logger

	// Observer, when not nil, is told what happens, one event at a time. It is
	// called between two messages of the pool, so it must be quick.
	Observer func(Event)
}

// timing is when the rig gives up on something.
type timing struct {
	dial         time.Duration // connect, TLS handshake included
	write        time.Duration // one line
	silence      time.Duration // nothing from the pool
	login        time.Duration // answer to subscribe or authorize
	answer       time.Duration // answer to a submit
	tick         time.Duration // how often answers are looked for
	backoffLeast time.Duration // before the first attempt to reconnect
	backoffMost  time.Duration
}

var usualTiming = timing{
	dial:         10 * time.Second,
	write:        10 * time.Second,
	silence:      5 * time.Minute,
	login:        30 * time.Second,
	answer:       60 * time.Second,
	tick:         time.Second,
	backoffLeast: time.Second,
	backoffMost:  60 * time.Second,
}

// rig is the state of Run. All members are static after construction.
type rig struct {
	pool     endpoint
	user     string
	password string
	agent    string
	kernel   kernels.Kernel
	threads  int
	search   *search
	stats    *Stats
	log      zerolog.Logger
	observer func(Event)
	timing   timing
}

// Run mines until ctx ends and then returns nil; it reconnects for as long as
// that takes. An error means that the options cannot be used.
func Run(ctx context.Context, options Options) error {
	r, err := newRig(options)
	if err != nil {
		return err
	}
	r.run(ctx)
	return nil
}

func newRig(o Options) (*rig, error) {
	switch {
	case o.Kernel == nil:
		return nil, errors.New("worker: no kernel given")
	case o.User == "":
		return nil, errors.New("worker: no user given: pools want ADDRESS or ADDRESS.worker")
	case o.Threads < 0:
		return nil, fmt.Errorf("worker: %d threads, want 1 or more, or 0 for one a CPU", o.Threads)
	}
	pool, err := parsePool(o.Pool, o.TLS)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	r := &rig{
		pool: pool, user: o.User, password: o.Password, agent: o.Agent,
		kernel: o.Kernel, threads: o.Threads, stats: o.Stats,
		log: o.Log, observer: o.Observer, timing: usualTiming,
	}
	if r.password == "" {
		r.password = "x"
	}
	if r.agent == "" {
		r.agent = "adit-worker"
	}
	if r.threads == 0 {
		r.threads = runtime.GOMAXPROCS(0)
	}
	if r.stats == nil {
		r.stats = &Stats{}
	}
	limit := o.Limit
	if limit == nil {
		limit = &Limit{}
	}
	r.search = newSearch(r.kernel, limit, r.stats)
	return r, nil
}

// run connects again and again until ctx ends, and waits for the threads.
func (r *rig) run(ctx context.Context) {
	r.stats.start()
	var threads sync.WaitGroup
	defer threads.Wait()
	for range r.threads {
		threads.Go(func() { r.search.run(ctx) })
	}
	at := r.pool
	for attempt := 0; ctx.Err() == nil; attempt++ {
		settled, err := r.connect(ctx, at)
		if ctx.Err() != nil {
			return
		}
		if settled {
			attempt = 0
		}
		delay := r.timing.backoff(attempt, rand.Float64())
		at = r.pool
		var asked *redirect
		if errors.As(err, &asked) {
			at, delay = asked.to, max(asked.wait, delay)
		}
		r.log.Warn().Err(err).Dur("retry_in", delay).Str("pool", at.address()).Msg("disconnected")
		r.observe(Event{Kind: Disconnected, Text: err.Error()})
		wait(ctx, delay, nil)
	}
}

// connect serves one connection. settled tells whether it was of use.
func (r *rig) connect(ctx context.Context, at endpoint) (settled bool, err error) {
	c, err := dial(ctx, at, r.timing)
	if err != nil {
		return false, err
	}
	defer c.close()
	// A write that waits for the pool must not outlast ctx.
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
	r.stats.connected()
	r.observe(Event{Kind: Connected, Text: at.address()})
	s := newSession(r, c, at)
	err = s.run(ctx)
	return s.settled(), err
}

// observe passes e on, with the time.
func (r *rig) observe(e Event) {
	if r.observer != nil {
		e.Time = time.Now()
		r.observer(e)
	}
}

// backoff doubles from the least to the most, and is then shifted to between
// half and one and a half by random (0..1), so that rigs do not come all at
// once; it never exceeds the most.
func (t timing) backoff(attempt int, random float64) time.Duration {
	d := t.backoffMost
	if attempt < 30 {
		d = min(d, t.backoffLeast<<attempt)
	}
	return min(time.Duration(float64(d)*(0.5+random)), t.backoffMost)
}
