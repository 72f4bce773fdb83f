package pool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of an Engine.
var (
	ErrNoJob       = errors.New("no job yet: no template from any node")
	ErrNoWorker    = errors.New("nobody is authorized on this session")
	ErrMoved       = errors.New("the pool's extranonce1 values were begun anew and this miner cannot take another: it must connect again")
	ErrMaxCoinbase = errors.New("the coinbase is longer than this kind of miner takes")
	ErrSoloFull    = errors.New("too many SOLO accounts at once")
)

// Masks of version bits that miners may roll.
const (
	MaskBIP320 = 0x1fffe000 // bits 13 to 28
	MaskBIP323 = 0x1fffffe0 // bits 5 to 28, a draft
)

// EngineConfig says what an Engine makes jobs for.
type EngineConfig struct {
	PoolID       string
	Chain        Chain
	Scheme       SchemeID
	Tag          string // shown in the coinbase script
	Epoch        uint64 // of the journal: makes this engine's work unlike any other's
	Extranonces  uint32 // extranonce1 values of a space; 0 means all that there are
	RewardScript []byte // output script that coinbases pay
	FeePPM       uint32 // SOLO: the part of the coinbase that RewardScript gets, unless SoloFee says
	// SoloFee is the part, in ppm, of a finder's coinbase at a height. It must not block.
	SoloFee     func(height int64, account AccountID) uint32
	NTimeSlack  time.Duration // how far ntime may run ahead of the clock; 0 means ten minutes
	VersionMask uint32        // bits that any listener lets miners roll; 0 means BIP320's
}

// Engine makes jobs from templates, issues them to sessions and judges what comes back. It does no I/O.
// It is safe for concurrent use, each Session under its own lock; submissions of different sessions
// share no lock.
type Engine struct {
	// Static after construction.
	cfg     EngineConfig
	params  *Params
	maxSolo int
	hashing *hashing
	drafts  sync.Pool // *drafts

	now  atomic.Pointer[generation]
	jobs sync.Map // uint64 -> *Job: what may still be submitted for

	mu          sync.Mutex // guards all below
	space       *space
	payees      *PayeeList
	lastJob     uint64
	derived     int           // jobs in all generations that share another one's work
	generations []*generation // oldest first; the last is now
}

// generation is the work made from one template.
type generation struct {
	space *space    // static: what its coinbases begin with
	tip   time.Time // static: when its tip was first seen
	base  *Job      // SOLO work for a payee shares all of it but the coinbase and the id
	solo  sync.Map  // AccountID -> *Job
	// payees are those that work of this generation may pay, nil when it pays the pool alone; direct has the work that
	// pays the first so many of them.
	payees *PayeeList
	direct sync.Map // int -> *Job
	ids    []uint64 // guarded by Engine.mu: jobs of this generation
}

const (
	// maxGenerations bounds the templates held for one tip. At a refresh each 30 s it is over half an hour.
	maxGenerations = 64
	// maxSeen is how many accepted shares a session may have before its older jobs are retired.
	maxSeen = 1 << 16
	// maxIssued is how many issued jobs a session may submit for.
	maxIssued = 256
	// maxOutput is the size of a SOLO miner's output: value, length, the longest script of an address.
	maxOutput = 8 + 1 + 42
	// maxSolo bounds the coinbases held for SOLO accounts. Beyond it older templates are given up first.
	maxSolo = 1 << 16
	// defaultNTimeSlack is how far ahead of the clock ntime may be rolled.
	defaultNTimeSlack = 10 * time.Minute
)

// NewEngine checks the configuration with the largest coinbase it can lead to.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	if cfg.NTimeSlack == 0 {
		cfg.NTimeSlack = defaultNTimeSlack
	}
	if cfg.VersionMask == 0 {
		cfg.VersionMask = MaskBIP320
	}
	e := &Engine{cfg: cfg, params: cfg.Chain.Params(), maxSolo: maxSolo, hashing: newHashing(cfg.Chain.PowHashes)}
	e.space = &space{id: cfg.Epoch}
	e.drafts.New = func() any { return new(drafts) }
	worst := &Template{Height: 1<<31 - 1, CoinbaseValue: 1, WitnessCommitment: make([]byte, 38)}
	spec := e.spec(e.space, []Output{{Script: cfg.RewardScript, Value: 1}})
	spec.Aux = make([]byte, MaxAuxSize)
	prefix, suffix, err := cfg.Chain.Coinbase(worst, spec)
	if err != nil {
		return nil, fmt.Errorf("coinbase of pool %s with tag %q: %w", cfg.PoolID, cfg.Tag, err)
	}
	if size := len(prefix) + ExtranonceSize + len(suffix) + maxOutput; size > LeastMaxCoinbase {
		return nil, fmt.Errorf("coinbase of pool %s can have %d bytes, some miners take %d: use a shorter reward script", cfg.PoolID, size, LeastMaxCoinbase)
	}
	return e, nil
}

// Params are those of the engine's chain.
func (e *Engine) Params() *Params { return e.params }

// Current is the newest job, nil before the first template. In a SOLO pool it has no coinbase.
func (e *Engine) Current() *Job {
	if g := e.now.Load(); g != nil {
		return g.base
	}
	return nil
}

// Job finds a job that may still be submitted for, or nil.
func (e *Engine) Job(id uint64) *Job {
	if j, ok := e.jobs.Load(id); ok {
		return j.(*Job)
	}
	return nil
}

// SetTemplate makes the current job from t. Jobs of the same tip stay valid; those of the tip before it
// are kept so that a late block is still recognised; older ones go. Bits that miners may roll are clear in
// a job's version: firmware differs in whether what it submits replaces them or is added to them.
func (e *Engine) SetTemplate(t *Template, now time.Time) (*Job, error) {
	if t.Version&e.cfg.VersionMask != 0 {
		plain := *t
		plain.Version &^= e.cfg.VersionMask
		t = &plain
	}
	target, err := TargetFromBits(t.Bits)
	if err != nil {
		return nil, fmt.Errorf("template of %s at height %d: %w", t.Node, t.Height, err)
	}
	txids := make([]Hash, len(t.Txs))
	for i := range t.Txs {
		txids[i] = t.Txs[i].ID
	}
	j := &Job{
		Template: t, Scheme: e.cfg.Scheme, Branch: MerkleBranch(txids),
		NetworkTarget: target, NetworkWork: target.Work(),
		NetworkDifficulty: DifficultyOf(e.params.DiffOne, target), Created: now,
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.adopt(j, now); err != nil {
		return nil, err
	}
	return j, nil
}

// adopt makes j the current job, with a coinbase of the newest space. Caller holds mu.
func (e *Engine) adopt(j *Job, now time.Time) (err error) {
	t := j.Template
	if e.cfg.Scheme != SchemeSOLO {
		out := []Output{{Script: e.cfg.RewardScript, Value: t.CoinbaseValue}}
		if j.Prefix, j.Suffix, err = e.cfg.Chain.Coinbase(t, e.spec(e.space, out)); err != nil {
			return fmt.Errorf("coinbase at height %d: %w", t.Height, err)
		}
	}
	prev := e.now.Load()
	j.Clean = prev == nil || prev.base.Template.PrevHash != t.PrevHash
	g := &generation{space: e.space, tip: now, base: j, payees: e.payeesFor(t)}
	if !j.Clean {
		g.tip = prev.tip
	}
	e.register(g, j)
	e.generations = append(e.generations, g)
	e.now.Store(g)
	e.retire()
	return nil
}

// register gives j its id. Caller holds mu.
func (e *Engine) register(g *generation, j *Job) {
	e.lastJob++
	j.ID = e.lastJob
	g.ids = append(g.ids, j.ID)
	e.jobs.Store(j.ID, j)
}

// retire drops generations of tips before the last one, and the oldest when there are too many. Caller
// holds mu.
func (e *Engine) retire() {
	gens := e.generations
	tip := gens[len(gens)-1].base.Template.PrevHash
	before := tip
	for i := len(gens) - 1; i >= 0; i-- {
		if p := gens[i].base.Template.PrevHash; p != tip {
			before = p
			break
		}
	}
	keep := 0
	for keep < len(gens)-1 {
		p := gens[keep].base.Template.PrevHash
		if (p == tip || p == before) && len(gens)-keep <= maxGenerations {
			break
		}
		keep++
	}
	e.drop(keep)
}

// drop retires the oldest n generations. Caller holds mu.
func (e *Engine) drop(n int) {
	for _, g := range e.generations[:n] {
		for _, id := range g.ids {
			e.jobs.Delete(id)
		}
		e.derived -= len(g.ids) - 1
	}
	e.generations = append([]*generation(nil), e.generations[n:]...)
}

// holds reports whether work of a generation may still be submitted for. Caller holds mu.
func (e *Engine) holds(g *generation) bool { return slices.Contains(e.generations, g) }

func (e *Engine) spec(in *space, out []Output) *CoinbaseSpec {
	return &CoinbaseSpec{Tag: e.cfg.Tag, Epoch: in.id, ExtranonceSize: ExtranonceSize, Outputs: out}
}

// NewSession starts the state of a connection.
func (e *Engine) NewSession(l Limits) (*Session, error) {
	in, n, err := e.number()
	if err != nil {
		return nil, err
	}
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], in.id)
	binary.BigEndian.PutUint32(seed[8:], n)
	h := DoubleSHA256(seed[:]) // job ids of two sessions should not look alike
	return &Session{
		Version: SessionVersion, Extranonce1: n, Space: in.id, Limits: l, Scheme: e.cfg.Scheme, Wanted: l.Start,
		NextSalt: binary.BigEndian.Uint32(h[:]), Seen: make(map[[16]byte]uint32),
	}, nil
}

// Issue gives the session the current job at its wanted difficulty, clamped and frozen. The salt stands
// in the coinbase, so that a header belongs to this issue and no other.
func (e *Engine) Issue(s *Session, now time.Time) (Issued, *Job, error) {
	if len(s.Workers) == 0 {
		return Issued{}, nil, ErrNoWorker
	}
	g := e.now.Load()
	if g == nil {
		return Issued{}, nil, ErrNoJob
	}
	j := g.base
	var err error
	switch {
	case s.Scheme == SchemeSOLO:
		j, err = e.soloJob(g, &s.Workers[0])
	case g.payees != nil && now.UnixMilli() < g.payees.Expires:
		j, err = e.directJob(g, s.MaxCoinbase)
	}
	if err != nil {
		return Issued{}, nil, err
	}
	if s.MaxCoinbase > 0 && j.CoinbaseSize() > s.MaxCoinbase {
		return Issued{}, nil, fmt.Errorf("%w: %d bytes, %d are taken", ErrMaxCoinbase, j.CoinbaseSize(), s.MaxCoinbase)
	}
	moved := s.Space != g.space.id
	if moved {
		if !s.Movable {
			return Issued{}, nil, ErrMoved
		}
		n, ok := g.space.number(e.cfg.Extranonces)
		if !ok { // used up already: the next job is of another space
			return Issued{}, nil, ErrMoved
		}
		s.Space, s.Extranonce1 = g.space.id, n
	}
	is := Issued{Salt: s.NextSalt, JobID: j.ID, Extranonce1: s.Extranonce1, VersionMask: s.VersionMask}
	s.NextSalt++
	is.Difficulty = s.Assignable(j.NetworkDifficulty)
	is.Clean = true
	if n := len(s.Issued); n > 0 {
		last := &s.Issued[n-1]
		old := e.Job(last.JobID)
		is.Clean = old == nil || old.Template.PrevHash != j.Template.PrevHash || s.crowded() || moved
		if last.Difficulty == is.Difficulty {
			is.Target, is.Work = last.Target, last.Work
		}
	}
	if is.Work.IsZero() {
		is.Target = is.Difficulty.Target(e.params.DiffOne)
		is.Work = is.Target.Work()
		s.Vardiff.Assigned(now)
	}
	e.forget(s, is.Clean)
	s.Crowded = false
	s.Issued = append(s.Issued, is)
	return is, j, nil
}

// forget drops issues whose job is retired, and with a full table of seen shares every issue; then
// what was seen of them.
func (e *Engine) forget(s *Session, clean bool) {
	if !clean && len(s.Issued) < maxIssued {
		return
	}
	kept, crowded := s.Issued[:0], s.crowded()
	for i, is := range s.Issued {
		if e.Job(is.JobID) != nil && !crowded && len(s.Issued)-i < maxIssued {
			kept = append(kept, is)
		}
	}
	s.Issued = kept
	for h, salt := range s.Seen {
		if s.issue(salt) == nil {
			delete(s.Seen, h)
		}
	}
}

// soloJob is the generation's work whose coinbase pays w and the fee.
func (e *Engine) soloJob(g *generation, w *Worker) (*Job, error) {
	if j, ok := g.solo.Load(w.Account); ok {
		return j.(*Job), nil
	}
	j := *g.base
	j.Scheme, j.Payee = SchemeSOLO, w.Account
	value := j.Template.CoinbaseValue
	ppm := e.cfg.FeePPM
	if e.cfg.SoloFee != nil {
		ppm = e.cfg.SoloFee(j.Template.Height, w.Account)
	}
	fee, err := value.MulPPM(ppm)
	if err != nil {
		return nil, err
	}
	out := []Output{{Script: w.Script, Value: value - fee}}
	if fee > 0 {
		out = append(out, Output{Script: e.cfg.RewardScript, Value: fee})
	}
	if j.Prefix, j.Suffix, err = e.cfg.Chain.Coinbase(j.Template, e.spec(g.space, out)); err != nil {
		return nil, fmt.Errorf("coinbase for %s: %w", w.User, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if won, ok := g.solo.Load(w.Account); ok {
		return won.(*Job), nil
	}
	if e.derived >= e.maxSolo {
		e.drop(len(e.generations) - 1)
	}
	switch {
	case e.derived >= e.maxSolo:
		return nil, ErrSoloFull
	case !e.holds(g): // retired meanwhile: there is a newer one
		return nil, ErrNoJob
	}
	e.register(g, &j)
	e.derived++
	g.solo.Store(w.Account, &j)
	return &j, nil
}
