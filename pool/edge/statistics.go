package edge

import (
	"context"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Bounds of one report.
const (
	maxReported = 20_000 // workers
	maxLimits   = 20_000 // payout limits; work for others is not counted for them until the next report
)

// statistics counts per worker between two reports. It never waits for anything but its own lock.
type statistics struct {
	chain   pool.Chain // static
	rejects []pool.Reject

	mu       sync.Mutex // guards all below
	since    time.Time
	workers  map[workerKey]*workerCount
	sessions map[*pool.Session]int // how many of its workers are counted
	limits   map[limitKey]float64  // work of logins that asked for a payout limit
	accepted uint64                // since the start
	hashes   float64               // expected, of accepted shares since the start
	refused  [16]uint64            // since the start, by pool.Reject
}

type limitKey struct {
	account pool.AccountID
	limit   pool.Amount
}

// workerKey with a zero account stands for refusals that belong to nobody.
type workerKey struct {
	account pool.AccountID
	name    string
}

type workerCount struct {
	script     []byte
	agent      string
	sessions   int
	accepted   uint64
	rejected   [16]uint64 // by pool.Reject
	work       float64
	difficulty pool.Difficulty
	lastShare  int64
	best       pool.Hash // least proof-of-work hash
	hasBest    bool
	active     bool // since the last report
}

func newStatistics(c pool.Chain) *statistics {
	return &statistics{
		chain: c, rejects: pool.Rejects(), since: time.Now(),
		workers: make(map[workerKey]*workerCount), sessions: make(map[*pool.Session]int),
		limits: make(map[limitKey]float64),
	}
}

func (t *statistics) begin(s *pool.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions[s] = 0
}

func (t *statistics) end(s *pool.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.sessions[s]
	delete(t.sessions, s)
	for i := range s.Workers[:min(n, len(s.Workers))] {
		if c := t.workers[keyOf(&s.Workers[i])]; c != nil && c.sessions > 0 {
			c.sessions--
		}
	}
}

func keyOf(w *pool.Worker) workerKey { return workerKey{w.Account, w.Name} }

// worker finds or begins the counts of a session's worker. Caller holds mu.
func (t *statistics) worker(s *pool.Session, i int) *workerCount {
	if s == nil || i < 0 || i >= len(s.Workers) {
		if s == nil || len(s.Workers) == 0 {
			return t.count(workerKey{}, nil)
		}
		i = 0
	}
	if n, ok := t.sessions[s]; ok && n < len(s.Workers) { // authorized since we looked
		for k := n; k < len(s.Workers); k++ {
			c := t.count(keyOf(&s.Workers[k]), s.Workers[k].Script)
			c.sessions++
			c.agent = s.Agent
		}
		t.sessions[s] = len(s.Workers)
	}
	return t.count(keyOf(&s.Workers[i]), s.Workers[i].Script)
}

func (t *statistics) count(k workerKey, script []byte) *workerCount {
	c := t.workers[k]
	if c == nil {
		c = &workerCount{script: script}
		t.workers[k] = c
	}
	return c
}

func (t *statistics) issued(s *pool.Session, d pool.Difficulty) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range s.Workers {
		t.worker(s, i).difficulty = d
	}
}

func (t *statistics) rejected(s *pool.Session, worker int, r pool.Reject) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refuse(t.worker(s, worker), r)
}

// refuse counts a refusal. Caller holds mu.
func (t *statistics) refuse(c *workerCount, r pool.Reject) {
	c.active = true
	if int(r) < len(c.rejected) {
		c.rejected[r]++
		t.refused[r]++
	}
}

// submitted counts verdicts, and gives the commit of a share whose way to the disk is to be timed, nil for
// none. A share whose commit has failed already counts as an internal refusal.
func (t *statistics) submitted(s *pool.Session, batch []pool.Judged) (sample *pool.Commit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var c *workerCount
	for i := range batch {
		b := &batch[i]
		if c == nil || b.Worker != batch[i-1].Worker {
			c = t.worker(s, b.Worker)
		}
		if t.judged(s, c, b); b.Reject == pool.Accepted && t.accepted%sampleEvery == 1 {
			sample = b.Commit
		}
	}
	return sample
}

// judged counts one verdict. Caller holds mu.
func (t *statistics) judged(s *pool.Session, c *workerCount, b *pool.Judged) {
	r := b.Reject
	if b.Commit != nil {
		select {
		case <-b.Commit.Done():
			if b.Commit.Err() != nil {
				r = pool.RejectInternal
			}
		default:
		}
	}
	if r != pool.Accepted {
		t.refuse(c, r)
		return
	}
	c.active = true
	c.accepted++
	c.lastShare = b.Share.Time
	if b.Share.Flags&pool.ShareEarly == 0 {
		work := b.Share.Issued.Float64()
		c.work += work
		t.limited(&s.Workers[b.Worker], work)
		t.hashes += work
	}
	if !c.hasBest || less(&b.Hash, &c.best) {
		c.best, c.hasBest = b.Hash, true
	}
	t.accepted++
}

// limited counts work for the payout limit that its login asked for. Caller holds mu.
func (t *statistics) limited(w *pool.Worker, work float64) {
	if w.Limit == nil {
		return
	}
	k := limitKey{w.Account, *w.Limit}
	if _, there := t.limits[k]; there || len(t.limits) < maxLimits {
		t.limits[k] += work
	}
}

// less compares hashes as numbers: little-endian.
func less(a, b *pool.Hash) bool {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// take returns what was counted since the last call, and begins anew. Workers without a session and
// without a share since then are forgotten. Of more than maxReported the others come with a later report.
func (t *statistics) take(now time.Time) pool.Report {
	r, counted := t.counted(now)
	diffOne := t.chain.Params().DiffOne
	r.Workers = make([]pool.WorkerReport, len(counted))
	for i := range counted {
		r.Workers[i] = t.describe(counted[i].key, &counted[i].workerCount, diffOne)
	}
	return r
}

type counted struct {
	key workerKey
	workerCount
}

// counted copies the counts out: shares wait meanwhile, so nothing is computed here.
func (t *statistics) counted(now time.Time) (pool.Report, []counted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := pool.Report{Time: now.UnixMilli(), Interval: now.Sub(t.since).Milliseconds(), Sessions: len(t.sessions)}
	t.since = now
	for k, work := range t.limits {
		r.Limits = append(r.Limits, pool.LimitReport{Account: k.account, Limit: k.limit, Work: work})
	}
	clear(t.limits)
	out := make([]counted, 0, min(len(t.workers), maxReported))
	for k, c := range t.workers {
		if !c.active && c.sessions == 0 {
			delete(t.workers, k)
			continue
		}
		if len(out) == maxReported {
			break
		}
		out = append(out, counted{k, *c})
		*c = workerCount{script: c.script, agent: c.agent, sessions: c.sessions, difficulty: c.difficulty, lastShare: c.lastShare}
	}
	return r, out
}

func (t *statistics) describe(k workerKey, c *workerCount, diffOne pool.Target) pool.WorkerReport {
	w := pool.WorkerReport{
		Account: k.account, Worker: k.name, Agent: c.agent, Accepted: c.accepted, Work: c.work,
		Difficulty: float64(c.difficulty), LastShare: c.lastShare, Sessions: c.sessions,
	}
	if c.script != nil {
		w.Address, _ = t.chain.Address(c.script) // a script came from an address
	}
	if c.hasBest {
		best, _ := pool.ParseTarget(c.best.String()) // both are big-endian digits
		w.BestShare = float64(pool.DifficultyOf(diffOne, best))
	}
	for _, reject := range t.rejects {
		if n := c.rejected[reject]; n > 0 {
			if w.Rejected == nil {
				w.Rejected = make(map[string]uint64)
			}
			w.Rejected[reject.String()] = n
		}
	}
	return w
}

// report sends statistics every ReportEvery until ctx ends.
func (e *Edge) report(ctx context.Context) {
	tick := time.NewTicker(e.opts.ReportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r := e.Report(now)
			call, cancel := context.WithTimeout(ctx, callTimeout)
			if err := e.opts.Reports.Report(call, r); err != nil {
				e.opts.Log.Debug().Err(err).Msg("a report of statistics is lost")
			}
			cancel()
			e.keepNotes(ctx)
		}
	}
}

// Report ends the interval of the counters at now and returns what goes to Reports. It is called by Run;
// what a caller takes is not reported again.
func (e *Edge) Report(now time.Time) pool.Report {
	r := e.stats.take(now)
	r.Edge, r.Version = e.opts.Name, e.opts.Version
	if j := e.Current(); j != nil {
		r.Height = j.Template.Height
		r.JobTime = j.Created.UnixMilli()
		r.NetworkDifficulty = float64(pool.DifficultyOf(e.Params().DiffOne, j.NetworkTarget))
		r.NetworkWork = j.NetworkWork.String()
	}
	r.Backlog = e.Backlog()
	err := e.opts.Journal.Err()
	if r.JournalOK = err == nil; err == nil {
		err = e.opts.Journal.Damage() // of an earlier run: shares are taken, a person must look
	}
	if err != nil {
		r.JournalError = err.Error()
	}
	if e.opts.NodeReports != nil {
		r.Nodes = e.opts.NodeReports()
	}
	return r
}
