// Package worker is a rig: it connects to any Stratum V1 pool, or to the next in a
// list of them, searches the jobs it gets with the threads of its devices, and
// submits the shares that its processor agrees with. A device that is too warm is
// slowed down, one that fails again and again is left out; the rest mines on.
//
// The message flow is
//
//	rig  mining.configure [["version-rolling"], {…}]      (BIP310)
//	rig  mining.subscribe [agent, session of before]   -> [subscriptions, extranonce1, extranonce2_size]
//	rig  mining.authorize [user, password]             -> true
//	rig  mining.extranonce.subscribe []
//	rig  mining.suggest_difficulty [d]                    (when asked to)
//	pool mining.set_difficulty [d], mining.notify [job id, prevhash, coinb1, coinb2,
//	     merkle branch, version, nbits, ntime, clean jobs]
//	rig  mining.submit [user, job id, extranonce2, ntime, nonce, version bits]
//
// with one JSON object a line. The codec is the rig's own: it shares no code with
// a pool, so that no mistake in byte order can be made on both sides at once.
//
// Goroutines: Run's own makes the connections and owns the session; each
// connection has one that reads, and one that looks whether a better pool is back;
// each thread of a device has one, and each device a watcher.
package worker

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
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
	Backups  []Pool // tried in turn while Pool is away
	Agent    string // empty: "adit-worker"
	Kernel   kernels.Kernel

	Devices []Device    // nil: the CPU, on Threads
	Threads int         // 0: one for each CPU
	Limit   *Limit      // of all devices together; nil: none
	Stats   *Stats      // counts what the rig does; nil: nobody looks
	TLS     *tls.Config // for stratum+ssl; nil: the system's certificates

	Suggest   float64 // the difficulty to suggest to the pool; 0: none
	NoRolling bool    // leave the version's bits alone
	Log       zerolog.Logger

	// Observer, when not nil, is told what happens, one event at a time. Pool and
	// devices wait for it, so it must be quick.
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
	work         time.Duration // first job
	leave        time.Duration // answers before a better pool is taken
	probe        time.Duration // between looks for a better pool
	probeMost    time.Duration // when returns do not last
	measure      time.Duration // between readings of a sensor
	retry        time.Duration // of a device that failed, doubled with each strike
	stuck        time.Duration // a device's scan
	abandon      time.Duration // at the end, a device that does not come back
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
	work:         2 * time.Minute,
	leave:        5 * time.Second,
	probe:        time.Minute,
	probeMost:    16 * time.Minute,
	measure:      2 * time.Second,
	retry:        100 * time.Millisecond,
	stuck:        time.Minute,
	abandon:      5 * time.Second,
}

// rig is the state of Run. All members but tickets and observing are static once it runs.
type rig struct {
	pools    []choice
	agent    string
	kernel   kernels.Kernel
	devices  []*device
	search   *search
	stats    *Stats
	suggest  float64
	rolls    bool
	log      zerolog.Logger
	observer func(Event)
	timing   timing
	stop     context.CancelCauseFunc
	tickets  map[int]ticket // by the pool's index; owned by Run's goroutine

	observing sync.Mutex // held while observer is called
}

// Run mines until ctx ends and then returns nil; it reconnects for as long as
// that takes. An error means that the options cannot be used, or is ErrNoDevice.
func Run(ctx context.Context, options Options) error {
	r, err := newRig(options)
	if err != nil {
		return err
	}
	return r.run(ctx)
}

func newRig(o Options) (*rig, error) {
	switch {
	case o.Kernel == nil:
		return nil, errors.New("worker: no kernel given")
	case o.User == "":
		return nil, errors.New("worker: no user given: pools want ADDRESS or ADDRESS.worker")
	case o.Threads < 0:
		return nil, fmt.Errorf("worker: %d threads, want 1 or more, or 0 for one a CPU", o.Threads)
	case o.Suggest < 0 || math.IsNaN(o.Suggest) || math.IsInf(o.Suggest, 0):
		return nil, fmt.Errorf("worker: difficulty %v to suggest, want a number above zero", o.Suggest)
	}
	r := &rig{
		agent: cmp.Or(o.Agent, "adit-worker"), kernel: o.Kernel, stats: o.Stats, suggest: o.Suggest, rolls: !o.NoRolling,
		log: o.Log, observer: o.Observer, timing: usualTiming,
	}
	first := Pool{o.Pool, o.User, cmp.Or(o.Password, "x")}
	for i, p := range append([]Pool{first}, o.Backups...) {
		if p.User == "" {
			p.User, p.Password = first.User, cmp.Or(p.Password, first.Password)
		}
		at, err := parsePool(p.URL, o.TLS)
		if err != nil {
			return nil, fmt.Errorf("worker: %w", err)
		}
		r.pools = append(r.pools, choice{at, p.User, cmp.Or(p.Password, "x"), i})
	}
	if r.stats == nil {
		r.stats = &Stats{}
	}
	limit := o.Limit
	if limit == nil {
		limit = &Limit{}
	}
	r.search = newSearch(r.kernel, limit, r.stats)
	r.search.failed = r.failed
	devices := o.Devices
	if devices == nil {
		devices = []Device{CPU(o.Kernel, cmp.Or(o.Threads, runtime.GOMAXPROCS(0)))}
	}
	names := map[string]bool{}
	for _, device := range devices {
		d := newDevice(device, time.Now())
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("worker: %w", err)
		}
		if names[d.Name] {
			return nil, fmt.Errorf("worker: two devices are named %s", d.Name)
		}
		names[d.Name] = true
		r.devices = append(r.devices, d)
	}
	if len(r.devices) == 0 {
		return nil, errors.New("worker: no device to search with")
	}
	r.search.rolls = true // what one batch costs must be alike for all
	for _, d := range r.devices {
		if _, ok := d.Search.(VersionSearcher); !ok {
			r.search.rolls = false
		}
	}
	return r, nil
}

// run mines until ctx ends or no device is left. A device that does not come
// back from its last scan is not waited for longer than timing.abandon.
func (r *rig) run(ctx context.Context) error {
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	r.stats.start(r.kernel.Name(), r.devices)
	var ended []<-chan struct{}
	for _, d := range r.devices {
		ended = append(ended, r.startDevice(ctx, d))
	}
	r.mine(ctx)
	late := time.After(r.timing.abandon)
	for i, e := range ended {
		select {
		case <-e:
		case <-late:
			r.log.Error().Str("device", r.devices[i].Name).Msg("device does not stop, left behind")
			return r.ending(ctx)
		}
	}
	return r.ending(ctx)
}

// ending is why the rig stopped by itself; nil when it was told to.
func (r *rig) ending(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrNoDevice) {
		return cause
	}
	return nil
}

// observe passes e on, with the time.
func (r *rig) observe(e Event) {
	if r.observer != nil {
		r.observing.Lock()
		defer r.observing.Unlock()
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
