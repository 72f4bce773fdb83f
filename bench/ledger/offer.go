package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/edge"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/redis"
)

// OfferReport is an edge under load, with the settler at work beside it.
type OfferReport struct {
	Offered      int           `json:"offered_per_second"`
	Shares       int           `json:"shares"` // acknowledged
	Failed       int           `json:"failed"`
	P50          time.Duration `json:"p50"` // submission to durable acknowledgement
	P99          time.Duration `json:"p99"`
	Longest      time.Duration `json:"longest"`
	PerBlock     float64       `json:"shares_per_journal_block"`
	EdgeCalls    float64       `json:"edge_redis_calls_per_share"`
	SettlerCalls float64       `json:"settler_redis_calls_per_share"`
	CPU          time.Duration `json:"cpu_per_share"` // of edge and settler, not of Redis
	RedisCPU     time.Duration `json:"redis_cpu_per_share"`
	Behind       time.Duration `json:"behind"` // how long the fold took after the last share
}

const (
	sessions = 1000
	// easy is a difficulty that every hash meets: what is measured is not hashing.
	easy = 1e-10
	// minuteBits make a slice of some 400 000 shares of the least work: what a pool with a fiftieth of the
	// network's hashrate does in half a minute at 20 000 shares a second.
	minuteBits = 0x1d0aaaaa
)

// miner is a session that stands for many accounts.
type miner struct {
	session *pool.Session
	issued  pool.Issued
	n       uint64 // extranonce2 used last
	turn    int
	batch   [1]pool.Judged
}

// offer submits shares at a steady rate, whatever becomes of them, and waits for each one's fate.
func (b *bench) offer(ctx context.Context, accounts int, lasts time.Duration) (r OfferReport, err error) {
	dir, err := b.fresh(ctx)
	if err != nil {
		return r, err
	}
	chain, err := findChain()
	if err != nil {
		return r, err
	}
	edgeRedis, edgePool, err := b.connect(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, edgeRedis.Close()) }()
	j, err := journal.Open(journal.Options{Dir: dir + "/journal", Pool: poolID, Log: b.o.Log})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, j.Close(context.WithoutCancel(ctx))) }()
	e, err := b.openEdge(dir, chain, j, edgePool)
	if err != nil {
		return r, err
	}
	miners, err := newMiners(e, chain, accounts)
	if err != nil {
		return r, err
	}
	s, err := b.openSettler(ctx, dir, chain, newMemoryNode(), "2")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	inner, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	var failed [2]error
	parts.Go(func() { failed[0] = e.Run(inner) })
	parts.Go(func() { failed[1] = s.settler.Run(inner, 1) })

	if err := warm(inner, e, miners, accounts); err != nil {
		stop()
		parts.Wait()
		return r, errors.Join(err, failed[0], failed[1])
	}
	edgeCalls, settlerCalls := edgeRedis.Commands(), s.redis.Commands()
	cpu, redisCPU := processCPU(), b.redisCPU(ctx)
	l := &load{rate: b.o.Rate, lasts: lasts, edge: e, miners: miners}
	l.run(inner)
	last := time.Now()
	if err := s.await(inner, func() bool { return s.folded.Load() >= j.Durable() }); err != nil {
		stop()
		parts.Wait()
		return r, errors.Join(err, failed[0], failed[1])
	}
	r.Behind = time.Since(last)
	n := float64(max(1, len(l.waits)))
	r.CPU = time.Duration(float64(processCPU()-cpu) / n)
	r.RedisCPU = time.Duration(float64(b.redisCPU(ctx)-redisCPU) / n)
	r.EdgeCalls = float64(edgeRedis.Commands()-edgeCalls) / n
	r.SettlerCalls = float64(s.redis.Commands()-settlerCalls) / n
	stop()
	parts.Wait()

	slices.Sort(l.waits)
	r.Offered, r.Shares, r.Failed = b.o.Rate, len(l.waits), l.failed
	r.P50, r.P99, r.Longest = quantile(l.waits, 0.5), quantile(l.waits, 0.99), quantile(l.waits, 1)
	r.PerBlock = n / float64(max(1, l.commits))
	return r, errors.Join(failed[0], failed[1])
}

func (b *bench) openEdge(dir string, chain pool.Chain, j *journal.Journal, p *redis.Pool) (*edge.Edge, error) {
	engine, err := pool.NewEngine(pool.EngineConfig{
		PoolID: poolID, Chain: chain, Scheme: pool.SchemePPLNS, Epoch: j.Epoch(), RewardScript: rewardScript,
	})
	if err != nil {
		return nil, err
	}
	return edge.New(edge.Options{
		Pool: poolID, Name: "edge-1", Chain: chain, Engine: engine, Journal: j, Nodes: []pool.Node{newMemoryNode()},
		Stream: p, Candidates: p, Reports: p, Ledger: p, Dir: dir + "/candidates", Log: b.o.Log,
	})
}

// newMiners authorizes every account on one of the sessions.
func newMiners(e *edge.Edge, chain pool.Chain, accounts int) ([]*miner, error) {
	if err := e.SetTemplate(template(minuteBits, time.Now().Unix())); err != nil {
		return nil, err
	}
	miners := make([]*miner, min(sessions, accounts))
	for i := range miners {
		s, err := e.NewSession(pool.Limits{Start: easy, Min: easy, Max: easy})
		if err != nil {
			return nil, err
		}
		miners[i] = &miner{session: s}
	}
	for i := range accounts {
		address, err := chain.Address(script(i))
		if err != nil {
			return nil, fmt.Errorf("address of miner %d: %w", i, err)
		}
		w, err := e.Authorize(address+".rig", "x")
		if err != nil {
			return nil, fmt.Errorf("authorize miner %d: %w", i, err)
		}
		m := miners[i%len(miners)]
		m.session.Workers = append(m.session.Workers, w)
	}
	for _, m := range miners {
		var err error
		if m.issued, _, err = e.Issue(m.session, time.Now()); err != nil {
			return nil, err
		}
	}
	return miners, nil
}

// warm has every account submit one share: what is new to all parts is no part of the measure.
func warm(ctx context.Context, e *edge.Edge, miners []*miner, accounts int) error {
	for i := 0; i < accounts && ctx.Err() == nil; {
		var last *pool.Commit
		for ; i < accounts && (last == nil || i%1000 != 0); i++ {
			last = miners[i%len(miners)].submit(e)
		}
		if last == nil {
			return errors.New("a share of the warming up was refused")
		}
		<-last.Done()
		if err := last.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// load is an open loop: what is offered does not depend on what is answered.
type load struct {
	rate   int
	lasts  time.Duration
	edge   *edge.Edge
	miners []*miner

	waits   []time.Duration
	failed  int
	commits int
}

// offered is a share whose fate is not known yet.
type offered struct {
	at     time.Time
	commit *pool.Commit
}

func (l *load) run(ctx context.Context) {
	queue := make(chan offered, 4*l.rate)
	var full atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		var last *pool.Commit
		for o := range queue {
			<-o.commit.Done()
			if o.commit.Err() != nil {
				l.failed++
				continue
			}
			if o.commit != last {
				l.commits++
				last = o.commit
			}
			l.waits = append(l.waits, time.Since(o.at))
		}
	})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for sent := 0; ctx.Err() == nil; <-tick.C {
		passed := time.Since(began)
		if passed >= l.lasts {
			break
		}
		for due := int(passed.Seconds() * float64(l.rate)); sent < due; sent++ {
			at := began.Add(time.Duration(float64(sent) / float64(l.rate) * float64(time.Second)))
			commit := l.miners[sent%len(l.miners)].submit(l.edge)
			if commit == nil {
				full.Add(1)
				continue
			}
			queue <- offered{at, commit}
		}
	}
	close(queue)
	wg.Wait()
	l.failed += int(full.Load())
}

// submit finds and submits a share; nil when it was refused.
func (m *miner) submit(e *edge.Edge) *pool.Commit {
	m.n++
	m.turn = (m.turn + 1) % len(m.session.Workers)
	sub := pool.Submission{Worker: m.turn, Salt: m.issued.Salt, NTime: e.Current().Template.CurTime}
	binary.BigEndian.PutUint64(sub.Extranonce2[:], m.n)
	now := time.Now()
	m.batch[0].Submission = sub
	e.Submit(m.session, m.batch[:], now)
	if m.batch[0].Renew {
		if is, _, err := e.Issue(m.session, now); err == nil {
			m.issued = is
		}
	}
	return m.batch[0].Commit
}
