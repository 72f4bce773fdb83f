package edge

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
)

// Engine makes jobs and judges submissions; [pool.Engine] is one.
type Engine interface {
	SetTemplate(t *pool.Template, now time.Time) (*pool.Job, error)
	SetPayees(l *pool.PayeeList) (renewed bool, err error)
	Current() *pool.Job
	NewSession(pool.Limits) (*pool.Session, error)
	Issue(s *pool.Session, now time.Time) (pool.Issued, *pool.Job, error)
	Judge(s *pool.Session, batch []pool.Judged, now time.Time) (judged int)
}

// Stream is where journal blocks go: one stream per edge and epoch.
type Stream interface {
	// Register makes the stream known to its readers.
	Register(ctx context.Context, edge string, epoch uint64) error
	// Append adds blocks, each the next one of the one before, if, and only if, the stream's last sequence
	// is prevLast (0: it is empty): all of them or none. It returns the stream's last sequence after the
	// call.
	Append(ctx context.Context, edge string, epoch, prevLast uint64, blocks []journal.Block) (streamLast uint64, err error)
}

// Candidates is where found blocks are told to the ledger.
type Candidates interface {
	// PublishCandidate is idempotent by block id.
	PublishCandidate(ctx context.Context, c pool.Candidate) error
}

// Reports is where statistics go; they may be lost.
type Reports interface {
	Report(ctx context.Context, r pool.Report) error
}

// Options are the parts of an edge.
type Options struct {
	Pool, Name  string // pool id, and the name of this edge within it
	Version     string // of the program, for the report
	Chain       pool.Chain
	Engine      Engine
	Journal     *journal.Journal
	Nodes       []pool.Node // every one is given every found block; one with a Name method is called by it
	Stream      Stream
	Candidates  Candidates
	Reports     Reports
	Notes       Notes // may be nil: then nobody acts on them
	Ledger      Ledger
	NodeReports func() []pool.NodeReport // for the report; may be nil
	Dir         string                   // of candidate records
	FS          journal.FS               // they are kept on; default journal.Disk
	Log         zerolog.Logger

	ReportEvery time.Duration // default 10 s
	GatherFor   time.Duration // between two appends to a stream while shares keep coming, default 10 ms
	ProbeEvery  time.Duration // between looks whether Redis still has what was sent, default 5 s
	FollowEvery time.Duration // between looks at what the ledger has, default 1 s
	RepeatEvery time.Duration // between two publications of a candidate that the ledger does not have, default 30 s
	KeepEvery   time.Duration // between looks whether nodes still know a block that is not mature, default 30 s
	KeepFor     time.Duration // the least time that a found block is kept: btcd writes its own every 5 minutes; default 10 min
	StopGrace   time.Duration // that block submissions and the last forwarding get when Run ends, default 3 s
}

func (o *Options) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.ReportEvery, 10*time.Second)
	set(&o.GatherFor, 10*time.Millisecond)
	set(&o.ProbeEvery, 5*time.Second)
	set(&o.FollowEvery, time.Second)
	set(&o.RepeatEvery, 30*time.Second)
	set(&o.KeepEvery, 30*time.Second)
	set(&o.KeepFor, 10*time.Minute)
	set(&o.StopGrace, 3*time.Second)
	if o.FS == nil {
		o.FS = journal.Disk{}
	}
}

// Edge is one edge of one pool. Its methods may be called from any goroutine, each [pool.Session] under
// its connection's lock. Run starts every goroutine but those of blocks found before it, and waits for
// all of them.
type Edge struct {
	// static
	opts       Options
	names      *names
	notes      *notes
	stats      *statistics
	candidates *candidates
	forwarder  *forwarder
	sampler    *sampler

	last atomic.Pointer[pool.Commit] // of the share that came last

	mu      sync.Mutex // guards below
	changed chan struct{}
}

// New reads the candidate records that earlier runs left.
func New(o Options) (*Edge, error) {
	o.defaults()
	e := &Edge{opts: o, names: newNames(), notes: newNotes(), stats: newStatistics(o.Chain), sampler: newSampler(), changed: make(chan struct{})}
	var err error
	if e.candidates, err = openCandidates(&e.opts); err != nil {
		return nil, fmt.Errorf("open edge of pool %s: %w", o.Pool, err)
	}
	e.forwarder = newForwarder(&e.opts)
	return e, nil
}

// Run forwards the journal, pursues found blocks and sends reports until ctx ends. Before it returns,
// what was queued in the journal has its fate, block submissions under way have had StopGrace, and
// durable shares were forwarded as far as that time allowed; the rest goes on at the next start. The
// caller stops the Stratum server before, and closes the journal after.
func (e *Edge) Run(ctx context.Context) error {
	loops, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	var wg sync.WaitGroup
	wg.Go(func() { e.forwarder.run(loops) })
	wg.Go(func() { e.report(loops) })
	wg.Go(func() { e.candidates.repeat(loops) })
	wg.Go(func() { e.candidates.keep(loops) })
	wg.Go(func() { e.follow(loops) })
	wg.Go(func() { e.sampler.run(loops) })
	e.candidates.resume()
	<-ctx.Done()

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.opts.StopGrace)
	defer cancel()
	e.candidates.stop(grace)
	if c := e.last.Load(); c != nil {
		select {
		case <-c.Done():
		case <-grace.Done():
		}
	}
	stopLoops()
	wg.Wait()
	e.keepNotes(grace)
	if err := e.forwarder.pass(grace, false); err != nil {
		e.opts.Log.Warn().Err(err).Uint64("backlog", e.forwarder.backlog()).Msg("stopped before all shares were forwarded; they are sent at the next start")
	}
	return nil
}

// Params are the constants of the pool's chain.
func (e *Edge) Params() *pool.Params { return e.opts.Chain.Params() }

// Current is the newest job, nil before the first.
func (e *Edge) Current() *pool.Job { return e.opts.Engine.Current() }

// SetTemplate makes the current job from t and tells who waits for one.
func (e *Edge) SetTemplate(t *pool.Template) error {
	if _, err := e.opts.Engine.SetTemplate(t, time.Now()); err != nil {
		return fmt.Errorf("make a job at height %d: %w", t.Height, err)
	}
	e.tellJob()
	return nil
}

// SetPayees says whom coinbases pay beside the pool, nil for nobody. When that concerns the current job it is made
// anew.
func (e *Edge) SetPayees(l *pool.PayeeList) error {
	renewed, err := e.opts.Engine.SetPayees(l)
	if err != nil {
		return fmt.Errorf("make a job that pays accounts: %w", err)
	}
	if renewed {
		e.tellJob()
	}
	return nil
}

func (e *Edge) tellJob() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}

// JobChanged is closed when another job than now is current.
func (e *Edge) JobChanged() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// NewSession starts the state of a connection.
func (e *Edge) NewSession(l pool.Limits) (*pool.Session, error) {
	s, err := e.opts.Engine.NewSession(l)
	if err == nil {
		e.stats.begin(s)
	}
	return s, err
}

// EndSession forgets a connection.
func (e *Edge) EndSession(s *pool.Session) { e.stats.end(s) }

// Issue freezes the session's wanted difficulty into a new issue of the current job.
func (e *Edge) Issue(s *pool.Session, now time.Time) (pool.Issued, *pool.Job, error) {
	is, j, err := e.opts.Engine.Issue(s, now)
	if err == nil {
		e.stats.issued(s, is.Difficulty)
	}
	return is, j, err
}

// Submit judges submissions in their order. A found block is on its way to the nodes before anything else
// happens to them. The commit of a refused one is nil.
func (e *Edge) Submit(s *pool.Session, batch []pool.Judged, now time.Time) {
	var last *pool.Commit
	for rest := batch; len(rest) > 0; {
		n := e.opts.Engine.Judge(s, rest, now)
		end := &rest[n-1]
		var found *pursuit
		if end.Candidate != nil {
			found = e.candidates.found(end.Candidate)
		}
		for i := range rest[:n] {
			if b := &rest[i]; b.Reject == pool.Accepted {
				b.Commit = e.opts.Journal.Append(&b.Share)
				last = b.Commit
			}
		}
		if found != nil {
			found.fate <- fate{end.Commit, end.Share.Seq}
		}
		rest = rest[n:]
	}
	if last != nil {
		e.last.Store(last)
	}
	if sample := e.stats.submitted(s, batch); sample != nil {
		e.sampler.begin(now, sample)
	}
}

// Rejected counts a refusal that the engine never saw; worker is -1 when it is not known whose it was.
func (e *Edge) Rejected(s *pool.Session, worker int, r pool.Reject) { e.stats.rejected(s, worker, r) }

// Backlog is how many durable shares the streams do not have yet.
func (e *Edge) Backlog() uint64 { return e.forwarder.backlog() }
