package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
)

// RingOptions say which nodes act as one.
type RingOptions struct {
	Clients []*Client     // in order of preference, at least one; the ring closes them
	Poll    time.Duration // between looks at each node's tip; 0 is 400 ms
	Refresh time.Duration // a template is renewed at least this often; 0 is 30 s
	// Retired is told of a template that was handed out and then failed a fuller check. It may be nil.
	Retired func(*pool.Template, error)
	Log     zerolog.Logger
}

const (
	defaultPoll    = 400 * time.Millisecond
	defaultRefresh = 30 * time.Second
	// patience is how long a call for a template may hang before the next node is asked.
	patience = 2 * time.Second
	minDelay = 500 * time.Millisecond // first back-off after an error
	maxDelay = 10 * time.Second
)

// Ring is several nodes acting as one. It implements [pool.Node]. Watch may run once at a time; it is
// what keeps the nodes' states current.
type Ring struct {
	// Static after NewRing.
	clients []*Client
	chain   pool.Chain
	poll    time.Duration
	refresh time.Duration
	retired func(*pool.Template, error)
	log     zerolog.Logger
	kick    chan struct{}   // holds one token: something changed
	hurry   []chan struct{} // likewise, one a client: look at its tip now

	// Submissions outlive their callers: ctx is theirs, Close waits for them.
	ctx    context.Context
	cancel context.CancelFunc

	mu         sync.Mutex
	closed     bool           // guarded by mu
	submitting sync.WaitGroup // Add under mu and only while not closed
	states     []state        // guarded by mu, one a client
	source     int            // guarded by mu: index of the node that gives templates
	newest     pool.Tip       // guarded by mu: the highest that any node had
	newestAt   time.Time      // guarded by mu: when it was first seen
}

// state is what is known of one node.
type state struct {
	looked      bool     // at least once
	tip         pool.Tip // last seen
	lookErr     error    // of the last look at the tip
	templateErr error    // of the last template; cleared by a good one
	retryAt     time.Time
	delay       time.Duration // before the next try after templateErr
	since       time.Time     // of being up or down
	up          bool
	told        bool      // up was logged once
	stale       int       // templates in a row that were not on the tip
	distrusted  bool      // a template was retired: the next must pass the fuller check first
	busySince   time.Time // of a call for a template under way, zero when none

	lag, longLag time.Duration // see sight; below 0 while the newest tip has not come
}

// err is why the node is not in use, nil when it is up.
func (s *state) err() error {
	switch {
	case s.lookErr != nil:
		return s.lookErr
	case s.templateErr != nil:
		return s.templateErr
	case !s.looked:
		return errors.New("not asked yet")
	}
	return nil
}

var _ pool.Node = (*Ring)(nil)

// NewRing joins clients, which must be of one chain. It starts nothing.
func NewRing(o RingOptions) (*Ring, error) {
	if len(o.Clients) == 0 {
		return nil, errors.New("join nodes: there is none")
	}
	for _, c := range o.Clients[1:] {
		if c.params.Genesis != o.Clients[0].params.Genesis {
			return nil, fmt.Errorf("join nodes: %s and %s are of different chains", c.name, o.Clients[0].name)
		}
	}
	if o.Poll <= 0 {
		o.Poll = defaultPoll
	}
	if o.Refresh <= 0 {
		o.Refresh = defaultRefresh
	}
	if o.Retired == nil {
		o.Retired = func(*pool.Template, error) {}
	}
	r := &Ring{
		clients: o.Clients, chain: o.Clients[0].chain, poll: o.Poll, refresh: o.Refresh, retired: o.Retired,
		log: o.Log, kick: make(chan struct{}, 1), states: make([]state, len(o.Clients)),
	}
	now := time.Now()
	for i := range r.states {
		r.states[i].since = now
		r.hurry = append(r.hurry, make(chan struct{}, 1))
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Close refuses new submissions, waits for those under way until ctx ends, then cuts them off.
func (r *Ring) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		r.submitting.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("wait for block submissions: %w", ctx.Err())
	}
	r.cancel()
	<-done
	for _, c := range r.clients {
		c.Close()
	}
	return err
}

// Report is the state of every node, in order of preference.
func (r *Ring) Report() []pool.NodeReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]pool.NodeReport, len(r.clients))
	for i := range r.states {
		s := &r.states[i]
		err := s.err()
		list[i] = pool.NodeReport{
			Name: r.clients[i].name, Up: err == nil, Height: s.tip.Height, Since: s.since, InUse: err == nil && i == r.source,
			Lag: milliseconds(s.lag), LongPoll: milliseconds(s.longLag),
		}
		if err != nil {
			list[i].Error = err.Error()
		}
	}
	return list
}

// milliseconds rounds a lag; below 0 stays below 0.
func milliseconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Milliseconds()
}

// order is the node in use first, those that are down last.
func (r *Ring) order() []*Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Client, 0, len(r.clients))
	if r.states[r.source].up {
		list = append(list, r.clients[r.source])
	}
	for _, up := range []bool{true, false} {
		for i, c := range r.clients {
			if r.states[i].up == up && (i != r.source || !up) {
				list = append(list, c)
			}
		}
	}
	return list
}

// first asks one node after the other until one answers. When all that answer say that they do not know
// the block, so does the ring, unless another node could not be asked.
func first[T any](ctx context.Context, r *Ring, ask func(*Client) (T, error)) (T, error) {
	var errs []error
	unknown := 0
	for _, c := range r.order() {
		v, err := ask(c)
		if err == nil {
			return v, nil
		}
		if errors.Is(err, pool.ErrNoBlock) {
			unknown++
		}
		errs = append(errs, fmt.Errorf("node %s: %w", c.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	var none T
	err := errors.Join(errs...)
	if unknown > 0 && unknown < len(r.clients) {
		return none, fmt.Errorf("not every node can be asked: %s", err) // no claim that the block is unknown
	}
	return none, err
}

// Tip is that of the node in use, or of the next that answers.
func (r *Ring) Tip(ctx context.Context) (pool.Tip, error) {
	return first(ctx, r, func(c *Client) (pool.Tip, error) { return c.Tip(ctx) })
}

// BlockHash is the active block at a height as the node in use sees it. Only when every node has none is
// it [pool.ErrNoBlock].
func (r *Ring) BlockHash(ctx context.Context, height int64) (pool.Hash, error) {
	return first(ctx, r, func(c *Client) (pool.Hash, error) { return c.BlockHash(ctx, height) })
}

// BlockInfo finds a block on any node. Only when every node knows none is it [pool.ErrNoBlock].
func (r *Ring) BlockInfo(ctx context.Context, id pool.Hash) (pool.BlockInfo, error) {
	return first(ctx, r, func(c *Client) (pool.BlockInfo, error) { return c.BlockInfo(ctx, id) })
}

// RawBlock reads a block from any node.
func (r *Ring) RawBlock(ctx context.Context, id pool.Hash) ([]byte, error) {
	return first(ctx, r, func(c *Client) ([]byte, error) { return c.RawBlock(ctx, id) })
}

// SubmitBlock hands the block to all nodes at once. It returns as soon as one has it in its active
// chain; the other calls go on without the caller, even past its ctx. Without such an answer it waits
// for all: a side chain on one node is reported as that, and the block counts as rejected only when
// every node proved it invalid. A lagging or lying node so cannot refuse a block alone.
func (r *Ring) SubmitBlock(ctx context.Context, id pool.Hash, block []byte) (pool.SubmitResult, string, error) {
	type answer struct {
		result pool.SubmitResult
		reason string
		err    error
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return pool.SubmitUnknown, "", fmt.Errorf("submit block %s: the nodes are closed", id)
	}
	r.submitting.Add(len(r.clients))
	r.mu.Unlock()
	answers := make(chan answer, len(r.clients))
	for i, c := range r.clients {
		go func() {
			defer r.submitting.Done()
			ctx, cancel := context.WithTimeout(r.ctx, submitTimeout+defaultTimeout)
			defer cancel()
			var a answer
			a.result, a.reason, a.err = c.SubmitBlock(ctx, id, block)
			c.log.Info().Stringer("block", id).Stringer("result", a.result).Str("reason", a.reason).Err(a.err).Msg("block submitted")
			if a.result == pool.SubmitAccepted {
				token(r.hurry[i]) // it has a new tip
			}
			answers <- a
		}()
	}
	best := answer{result: pool.SubmitRejected}
	var errs []error
	for range r.clients {
		select {
		case a := <-answers:
			if a.result == pool.SubmitAccepted {
				return a.result, a.reason, nil
			}
			errs = append(errs, a.err)
			if rank(a.result) > rank(best.result) || best.reason == "" && a.result == best.result {
				best = a
			}
		case <-ctx.Done():
			return pool.SubmitUnknown, "", fmt.Errorf("submit block %s: %w", id, errors.Join(append(errs, ctx.Err())...))
		}
	}
	if best.result == pool.SubmitUnknown {
		return best.result, best.reason, errors.Join(errs...)
	}
	return best.result, best.reason, nil
}

// rank orders what is not an acceptance by how much it keeps open.
func rank(r pool.SubmitResult) int {
	switch r {
	case pool.SubmitSideChain:
		return 2
	case pool.SubmitUnknown:
		return 1
	}
	return 0
}

// wake makes Watch look again at once.
func (r *Ring) wake() { token(r.kick) }

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
