package edge

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/stratum"
)

var _ stratum.Pool = (*Edge)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toyChain takes any address that begins with "addr"; half of all hashes are blocks.
type toyChain struct{}

func (toyChain) Params() *pool.Params {
	one, _ := pool.TargetFromBig(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))
	return &pool.Params{Coin: "toy", Network: "test", DiffOne: one, Maturity: 100}
}
func (toyChain) Script(a string) ([]byte, error) {
	if len(a) < 4 || a[:4] != "addr" {
		return nil, fmt.Errorf("%q is not an address of this network", a)
	}
	return []byte(a), nil
}
func (toyChain) Address(s []byte) (string, error) { return string(s), nil }
func (toyChain) Subsidy(int64) pool.Amount        { return 5000 }
func (toyChain) Coinbase(t *pool.Template, spec *pool.CoinbaseSpec) (prefix, suffix []byte, err error) {
	prefix = binary.BigEndian.AppendUint64([]byte("coinbase"), spec.Epoch)
	return prefix, spec.Outputs[0].Script, nil
}
func (toyChain) Block(dst []byte, _ *pool.Template, h *[80]byte, coinbase []byte) ([]byte, error) {
	return append(append(dst, h[:]...), coinbase...), nil
}
func (toyChain) ParseCoinbase([]byte) (pool.CoinbaseTx, error) { return pool.CoinbaseTx{}, nil }
func (toyChain) PowHash(h *[80]byte) pool.Hash                 { return pool.DoubleSHA256(h[:]) }
func (toyChain) PowHashes([][80]byte, []pool.Hash)             { panic("hashes are not dear") }
func (toyChain) MerkleRoots(coinbases [][]byte, branch []pool.Hash, roots []pool.Hash) {
	for i, b := range coinbases {
		roots[i] = pool.MerkleRoot(pool.DoubleSHA256(b), branch)
	}
}
func (toyChain) BlockID(h *[80]byte) pool.Hash { return pool.DoubleSHA256(h[:]) }

// memStream is Redis as the edge sees it, with the rules of the Lua script, and with what can happen
// to a Redis.
type memStream struct {
	mu         sync.Mutex
	streams    map[uint64][]streamEntry
	last       map[uint64]uint64 // last-generated ids; survive trims
	registered map[uint64]int
	fail       func() error // asked before each call
	lostReply  bool         // the next append happens, its answer does not arrive
	appends    int
	got        map[uint64]map[uint64]pool.Share // all that was ever delivered, as a fold counts it
	blocks     map[pool.Hash]pool.Candidate
	through    map[uint64]uint64  // what the ledger is said to have, by epoch
	settled    map[pool.Hash]bool // and of blocks
	published  int
	reports    []pool.Report
	told       chan struct{} // one token at each change
	t          testing.TB
}

type streamEntry struct {
	last uint64
	raw  []byte
}

func newMemStream(t testing.TB) *memStream {
	return &memStream{
		streams: map[uint64][]streamEntry{}, last: map[uint64]uint64{}, registered: map[uint64]int{},
		through: map[uint64]uint64{}, settled: map[pool.Hash]bool{}, got: map[uint64]map[uint64]pool.Share{}, blocks: map[pool.Hash]pool.Candidate{}, told: make(chan struct{}, 1), t: t,
	}
}

func (m *memStream) changed() {
	select {
	case m.told <- struct{}{}:
	default:
	}
}

func (m *memStream) Register(ctx context.Context, edge string, epoch uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return err
		}
	}
	m.registered[epoch]++
	return ctx.Err()
}

func (m *memStream) Append(ctx context.Context, edge string, epoch, prevLast uint64, blocks []journal.Block) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.appends++
	if m.last[epoch] == prevLast {
		for i := range blocks {
			last, raw := blocks[i].Last(), blocks[i].Raw
			if last <= m.last[epoch] {
				m.t.Errorf("append of %d behind %d", last, m.last[epoch])
			}
			m.last[epoch] = last
			m.streams[epoch] = append(m.streams[epoch], streamEntry{last, bytes.Clone(raw)})
			m.fold(epoch, raw)
		}
	}
	m.changed()
	if m.lostReply {
		m.lostReply = false
		return 0, errors.New("i/o timeout")
	}
	return m.last[epoch], nil
}

// fold takes a block as the settler does: what it has, by sequence, is skipped; nothing may be missing.
func (m *memStream) fold(epoch uint64, raw []byte) {
	b, shares, err := journal.Decode(raw)
	if err != nil || b.Epoch != epoch {
		m.t.Errorf("stream of epoch %x got epoch %x: %v", epoch, b.Epoch, err)
		return
	}
	if m.got[epoch] == nil {
		m.got[epoch] = map[uint64]pool.Share{}
	}
	for _, s := range shares {
		if old, ok := m.got[epoch][s.Seq]; ok && old.Hash != s.Hash {
			m.t.Errorf("epoch %x: sequence %d is two shares", epoch, s.Seq)
		}
		if s.Seq > 1 {
			if _, ok := m.got[epoch][s.Seq-1]; !ok {
				m.t.Errorf("epoch %x: sequence %d came before %d", epoch, s.Seq, s.Seq-1)
			}
		}
		m.got[epoch][s.Seq] = s
	}
}

func (m *memStream) PublishCandidate(ctx context.Context, c pool.Candidate) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.changed()
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return err
		}
	}
	if old, ok := m.blocks[c.Hash]; ok && old.Share.Seq != c.Share.Seq {
		m.t.Errorf("block %v published with sequence %d, then %d", c.Hash, old.Share.Seq, c.Share.Seq)
	}
	m.blocks[c.Hash] = c
	m.published++
	return ctx.Err()
}

func (m *memStream) Released(_ context.Context, edge string, epochs []uint64) ([]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]uint64, len(epochs))
	for i, epoch := range epochs {
		out[i] = m.through[epoch]
	}
	return out, nil
}

func (m *memStream) Settled(_ context.Context, blocks []pool.Hash) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]bool, len(blocks))
	for i, b := range blocks {
		out[i] = m.settled[b]
	}
	return out, nil
}

// settle lets the ledger have a block.
func (m *memStream) settle(block pool.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settled[block] = true
}

func (m *memStream) Report(_ context.Context, r pool.Report) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports = append(m.reports, r)
	m.changed()
	return nil
}

// rollback forgets the newest n entries of every stream, as a failover or a restored file does; all of
// them when n is negative (FLUSHALL).
func (m *memStream) rollback(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for epoch, entries := range m.streams {
		keep := len(entries) - n
		if n < 0 || keep <= 0 {
			delete(m.streams, epoch)
			delete(m.last, epoch)
			continue
		}
		m.streams[epoch] = entries[:keep]
		m.last[epoch] = entries[keep-1].last
	}
	if n < 0 {
		clear(m.registered)
		clear(m.blocks)
	}
}

func (m *memStream) setFail(f func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// await waits until ok, asked with the lock held after each change, is true.
func (m *memStream) await(t fataler, what string, ok func() bool) {
	deadline := time.After(time.Minute)
	for {
		m.mu.Lock()
		done := ok()
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-m.told:
		case <-time.After(5 * time.Millisecond): // a state that no call of ours announces
		case <-deadline:
			t.Fatalf("%s: does not happen", what)
		}
	}
}

type fataler interface {
	Fatalf(format string, args ...any)
}

// fakeNode answers as told.
type fakeNode struct {
	pool.Node
	name   string
	mu     sync.Mutex
	calls  [][]byte
	at     time.Time // of the first call
	answer func(ctx context.Context, call int) (pool.SubmitResult, string, error)
	tip    int64
	lost   bool // it knows no block
}

func (n *fakeNode) BlockInfo(context.Context, pool.Hash) (pool.BlockInfo, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lost {
		return pool.BlockInfo{}, pool.ErrNoBlock
	}
	return pool.BlockInfo{}, nil
}

// become changes tip and memory.
func (n *fakeNode) become(tip int64, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tip, n.lost = tip, lost
}

func (n *fakeNode) Name() string { return n.name }
func (n *fakeNode) Tip(context.Context) (pool.Tip, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return pool.Tip{Height: n.tip}, nil
}
func (n *fakeNode) SubmitBlock(ctx context.Context, id pool.Hash, block []byte) (pool.SubmitResult, string, error) {
	n.mu.Lock()
	if len(n.calls) == 0 {
		n.at = time.Now()
	}
	n.calls = append(n.calls, block)
	call := len(n.calls)
	n.mu.Unlock()
	return n.answer(ctx, call)
}
func (n *fakeNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.calls)
}

func always(r pool.SubmitResult) func(context.Context, int) (pool.SubmitResult, string, error) {
	return func(context.Context, int) (pool.SubmitResult, string, error) { return r, "", nil }
}

// rig is an edge with one session on it.
type rig struct {
	t       testing.TB
	edge    *Edge
	engine  *pool.Engine
	journal *journal.Journal
	stream  *memStream
	session *pool.Session
	issued  pool.Issued
	nonce   uint32
	stop    func()
}

type rigOptions struct {
	dir       string
	fs        journal.FS // of the journal
	recordFS  journal.FS
	nodes     []pool.Node
	log       zerolog.Logger
	noRun     bool
	segment   int64
	stopGrace time.Duration
	notes     Notes
}

func newRig(t testing.TB, stream *memStream, o rigOptions) *rig {
	t.Helper()
	j, err := journal.Open(journal.Options{Dir: o.dir + "/journal", Pool: "toy", FS: o.fs, Retry: time.Millisecond, SegmentBytes: o.segment})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := pool.NewEngine(pool.EngineConfig{PoolID: "toy", Chain: toyChain{}, Scheme: pool.SchemePPLNS, Epoch: j.Epoch(), RewardScript: []byte("pool")})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{
		Pool: "toy", Name: "e1", Chain: toyChain{}, Engine: engine, Journal: j, Nodes: o.nodes, Stream: stream, Candidates: stream,
		Reports: stream, Ledger: stream, Notes: o.notes, Dir: o.dir + "/candidates", FS: o.recordFS, Log: o.log,
		ReportEvery: 20 * time.Millisecond, GatherFor: time.Millisecond, ProbeEvery: 5 * time.Millisecond, FollowEvery: 2 * time.Millisecond, RepeatEvery: 10 * time.Millisecond, KeepEvery: 5 * time.Millisecond, KeepFor: time.Nanosecond, StopGrace: max(o.stopGrace, 100*time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, edge: e, engine: engine, journal: j, stream: stream}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !o.noRun {
			_ = e.Run(ctx)
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		_ = j.Close(context.Background())
	})
	t.Cleanup(r.stop)
	r.template(100, 1)
	if r.session, err = e.NewSession(pool.Limits{Start: 1, Min: 1, Max: 1}); err != nil {
		t.Fatal(err)
	}
	w, err := e.Authorize("addrA.rig1", "x")
	if err != nil {
		t.Fatal(err)
	}
	r.session.Workers = append(r.session.Workers, w)
	r.session.Agent = "test/1"
	r.issue()
	return r
}

func (r *rig) template(height int64, tip byte) {
	r.t.Helper()
	if err := r.edge.SetTemplate(&pool.Template{Height: height, PrevHash: pool.Hash{tip}, Version: 4, Bits: 0x207fffff, CurTime: 1000, MinTime: 1000, CoinbaseValue: 5000}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) issue() {
	r.t.Helper()
	var err error
	if r.issued, _, err = r.edge.Issue(r.session, time.Now()); err != nil {
		r.t.Fatal(err)
	}
}

// submit finds a share that is a block, or is none, and submits it.
func (r *rig) submit(block bool) (pool.Verdict, *pool.Commit) {
	j := r.engine.Job(r.issued.JobID)
	for {
		r.nonce++
		sub := &pool.Submission{Salt: r.issued.Salt, NTime: j.Template.CurTime, Nonce: r.nonce}
		var h [80]byte
		coinbase := pool.DoubleSHA256(j.AppendCoinbase(nil, sub.Salt, r.session.Extranonce1, &sub.Extranonce2))
		pool.PutHeader(&h, j.Template.Version, j.Template.PrevHash, pool.MerkleRoot(coinbase, j.Branch), sub.NTime, j.Template.Bits, sub.Nonce)
		if id := pool.DoubleSHA256(h[:]); j.NetworkTarget.Meets(&id) != block {
			continue
		}
		return r.judge(sub)
	}
}

// judge has the edge judge one submission.
func (r *rig) judge(sub *pool.Submission) (pool.Verdict, *pool.Commit) {
	one := []pool.Judged{{Submission: *sub}}
	r.edge.Submit(r.session, one, time.Now())
	return one[0].Verdict, one[0].Commit
}

// share submits an ordinary share and returns it once it is durable, nil when it failed.
func (r *rig) share(t fataler) *pool.Share {
	v, c := r.submit(false)
	if v.Reject != pool.Accepted {
		t.Fatalf("share refused: %v", v.Reject)
	}
	<-c.Done()
	if c.Err() != nil {
		return nil
	}
	return &v.Share
}

func candidateFiles(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir + "/candidates")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
