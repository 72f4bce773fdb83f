// Package stratumtest is for tests of Stratum servers and dialects: a pool in memory that judges real
// shares, a client that sends raw lines, a rig that puts headers together from what stands on the wire,
// and transcripts of firmware as readable files.
package stratumtest

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Epoch is the journal epoch in every coinbase of a Pool.
const Epoch = 0x0123456789abcdef

// Pool is a stratum.Pool around a real pool.Engine on a chain of its own. Commits are done at once unless
// they are held.
type Pool struct {
	engine *pool.Engine
	chain  *chain
	bits   uint32

	mu       sync.Mutex // guards all below
	changed  chan struct{}
	height   int64
	time     uint32 // of the last template
	holding  bool
	held     []*pool.Commit
	shares   []pool.Share
	rejects  map[pool.Reject]int
	sessions int
	limit    int // sessions that may be open, 0: no limit
	ended    *pool.Session
	blocks   int
}

// PoolOptions configure a Pool.
type PoolOptions struct {
	Scheme pool.SchemeID
	Epoch  uint64 // of its journal; default Epoch
	Bits   uint32 // the network's; default difficulty 1

	Extranonces uint32 // extranonce1 values of a space; default all that there are
}

// NewPool returns a pool of the given scheme with a first job if ready is set.
func NewPool(scheme pool.SchemeID, ready bool) *Pool {
	p := NewPoolOf(PoolOptions{Scheme: scheme})
	if ready {
		p.NextBlock()
	}
	return p
}

// NewPoolOf returns a pool without a job.
func NewPoolOf(o PoolOptions) *Pool {
	if o.Epoch == 0 {
		o.Epoch = Epoch
	}
	if o.Bits == 0 {
		o.Bits = 0x1d00ffff
	}
	c := newChain()
	e, err := pool.NewEngine(pool.EngineConfig{
		PoolID: "test", Chain: c, Scheme: o.Scheme, Tag: "/test/", Epoch: o.Epoch,
		RewardScript: make([]byte, 22), FeePPM: 10_000, Extranonces: o.Extranonces,
	})
	if err != nil {
		panic("stratumtest: " + err.Error())
	}
	return &Pool{
		engine: e, chain: c, bits: o.Bits, changed: make(chan struct{}), rejects: map[pool.Reject]int{}, height: 100,
	}
}

// NextBlock makes a job on a new tip.
func (p *Pool) NextBlock() *pool.Job { return p.template(1) }

// Refresh makes a job on the same tip.
func (p *Pool) Refresh() *pool.Job { return p.template(0) }

func (p *Pool) template(blocks int64) *pool.Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.height += blocks
	p.time = max(p.time+1, uint32(now.Unix()))
	prev := sha256.Sum256([]byte{byte(p.height), byte(p.height >> 8)})
	txs := make([]pool.TemplateTx, 3)
	for i := range txs {
		txs[i].ID = sha256.Sum256([]byte{byte(p.height), byte(p.time), byte(i)})
	}
	j, err := p.engine.SetTemplate(&pool.Template{
		Node: "test", Height: p.height, PrevHash: prev, Version: 0x20000000, Bits: p.bits,
		CurTime: p.time, MinTime: uint32(now.Unix()) - 3600, CoinbaseValue: 5_000_000_000, Txs: txs,
	}, now)
	if err != nil {
		panic("stratumtest: " + err.Error())
	}
	close(p.changed)
	p.changed = make(chan struct{})
	return j
}

// Move uses extranonce1 values up until another space begins; PoolOptions.Extranonces must be small.
func (p *Pool) Move() {
	for first := uint64(0); ; {
		s, err := p.engine.NewSession(Limits())
		if err != nil {
			panic("stratumtest: " + err.Error())
		}
		if first == 0 {
			first = s.Space
		}
		if s.Space != first {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Hold keeps commits open until Release.
func (p *Pool) Hold() {
	p.mu.Lock()
	p.holding = true
	p.mu.Unlock()
}

// Release finishes the oldest n held commits with err, all with n < 0, and returns how many there were.
// Later ones are held still.
func (p *Pool) Release(n int, err error) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < 0 || n > len(p.held) {
		n = len(p.held)
	}
	for _, c := range p.held[:n] {
		c.Finish(err)
	}
	p.held = p.held[n:]
	return n
}

// Held is how many commits are held.
func (p *Pool) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held)
}

// Shares are the accepted shares in their order.
func (p *Pool) Shares() []pool.Share {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]pool.Share(nil), p.shares...)
}

// Blocks is how many blocks would have gone to the nodes.
func (p *Pool) Blocks() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.blocks
}

// Rejects counts refusals, the pool's and those it was told of.
func (p *Pool) Rejects() map[pool.Reject]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := make(map[pool.Reject]int)
	for k, v := range p.rejects {
		m[k] = v
	}
	return m
}

// Sessions is how many sessions are open.
func (p *Pool) Sessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions
}

// Ended is the session that ended last, nil before one did.
func (p *Pool) Ended() *pool.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// LimitSessions makes NewSession fail while n are open.
func (p *Pool) LimitSessions(n int) {
	p.mu.Lock()
	p.limit = n
	p.mu.Unlock()
}

// Params implements stratum.Pool, as do the methods below.
func (p *Pool) Params() *pool.Params { return p.chain.Params() }

// NewSession starts a session.
func (p *Pool) NewSession(l pool.Limits) (*pool.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.sessions >= p.limit {
		return nil, errors.New("the pool is full")
	}
	p.sessions++
	return p.engine.NewSession(l)
}

// EndSession ends one.
func (p *Pool) EndSession(s *pool.Session) {
	p.mu.Lock()
	p.sessions--
	p.ended = s
	p.mu.Unlock()
}

// Authorize takes testADDRESS, with .worker or _worker.
func (p *Pool) Authorize(user, _ string) (pool.Worker, error) {
	address, name := pool.SplitUser(user)
	script, err := p.chain.Script(address)
	if err != nil {
		return pool.Worker{}, err
	}
	return pool.Worker{User: user, Account: pool.AccountOf("test", script), Script: script, Name: name}, nil
}

// Issue gives out the current job.
func (p *Pool) Issue(s *pool.Session, now time.Time) (pool.Issued, *pool.Job, error) {
	return p.engine.Issue(s, now)
}

// Judge judges shares and keeps nothing.
func (p *Pool) Judge(s *pool.Session, batch []pool.Judged, now time.Time) {
	for n := 0; n < len(batch); {
		n += p.engine.Judge(s, batch[n:], now)
	}
}

// Submit judges and keeps shares.
func (p *Pool) Submit(s *pool.Session, batch []pool.Judged, now time.Time) {
	p.Judge(s, batch, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range batch {
		b := &batch[i]
		if b.Candidate != nil {
			p.blocks++
		}
		if b.Reject != pool.Accepted {
			p.rejects[b.Reject]++
			continue
		}
		p.shares = append(p.shares, b.Share)
		b.Commit = pool.NewCommit()
		if p.holding {
			p.held = append(p.held, b.Commit)
		} else {
			b.Commit.Finish(nil)
		}
	}
}

// Rejected counts.
func (p *Pool) Rejected(_ *pool.Session, _ int, r pool.Reject) {
	p.mu.Lock()
	p.rejects[r]++
	p.mu.Unlock()
}

// Current is the newest job.
func (p *Pool) Current() *pool.Job { return p.engine.Current() }

// JobChanged is closed at the next job.
func (p *Pool) JobChanged() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}
