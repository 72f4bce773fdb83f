package settle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout/scheme/all"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

const (
	testPool = "main"
	testBits = 0x1d00ffff
	maturity = 5
	testPPM  = 12_345
)

var rewardScript = []byte("reward")

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

func script(i int) []byte            { return []byte{0x51, byte(i)} }
func accountOf(i int) pool.AccountID { return pool.AccountOf(testPool, script(i)) }
func block(name string) pool.Hash    { return pool.Hash(sha256.Sum256([]byte(name))) }
func networkWork(bits uint32) pool.Work {
	t, err := pool.TargetFromBits(bits)
	if err != nil {
		panic(err)
	}
	return t.Work()
}

// toyChain reads blocks of 80 bytes of header and JSON outputs.
type toyChain struct{ pool.Chain }

func (toyChain) Params() *pool.Params { return &pool.Params{Coin: "toy", Maturity: maturity} }

func (toyChain) Address(script []byte) (string, error) { return fmt.Sprintf("toy-%x", script), nil }

func (toyChain) ParseCoinbase(raw []byte) (pool.CoinbaseTx, error) {
	tx := pool.CoinbaseTx{TxID: pool.DoubleSHA256(raw)}
	return tx, json.Unmarshal(raw[80:], &tx.Outputs)
}

func toyBlock(name string, outputs ...pool.Output) []byte {
	raw := make([]byte, 80)
	copy(raw, name)
	binary.LittleEndian.PutUint32(raw[68:], 1_700_000_000)
	binary.LittleEndian.PutUint32(raw[72:], testBits)
	b, err := json.Marshal(outputs)
	if err != nil {
		panic(err)
	}
	return append(raw, b...)
}

// toyNode is a full node with a chain that tests rewrite.
type toyNode struct {
	pool.Node
	mu     sync.Mutex
	active []pool.Hash // by height
	raw    map[pool.Hash][]byte
	height map[pool.Hash]int64
	down   bool
	calls  int
}

func newToyNode() *toyNode {
	n := &toyNode{raw: make(map[pool.Hash][]byte), height: make(map[pool.Hash]int64)}
	n.mine("genesis")
	return n
}

var errDown = errors.New("node is down")

func (n *toyNode) ask() error {
	n.calls++
	if n.down {
		return errDown
	}
	return nil
}

func (n *toyNode) Tip(context.Context) (pool.Tip, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return pool.Tip{Hash: n.active[len(n.active)-1], Height: int64(len(n.active) - 1)}, n.ask()
}

func (n *toyNode) BlockHash(_ context.Context, height int64) (pool.Hash, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if height < 0 || height >= int64(len(n.active)) {
		return pool.Hash{}, pool.ErrNoBlock
	}
	return n.active[height], n.ask()
}

func (n *toyNode) BlockInfo(_ context.Context, id pool.Hash) (pool.BlockInfo, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h, ok := n.height[id]
	if !ok {
		return pool.BlockInfo{}, pool.ErrNoBlock
	}
	return pool.BlockInfo{Hash: id, Height: h, Confirmations: -1}, n.ask()
}

func (n *toyNode) RawBlock(_ context.Context, id pool.Hash) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	raw, ok := n.raw[id]
	if !ok {
		return nil, pool.ErrNoBlock
	}
	return raw, n.ask()
}

// mine puts a block on the tip.
func (n *toyNode) mine(name string, outputs ...pool.Output) pool.Hash {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := block(name)
	n.raw[id], n.height[id] = toyBlock(name, outputs...), int64(len(n.active))
	n.active = append(n.active, id)
	return id
}

// tip is the height of the last block.
func (n *toyNode) tip() int64 { n.mu.Lock(); defer n.mu.Unlock(); return int64(len(n.active) - 1) }

// branch cuts the chain to keep blocks and continues it by others.
func (n *toyNode) branch(keep int, others []pool.Hash) []pool.Hash {
	n.mu.Lock()
	defer n.mu.Unlock()
	cut := slices.Clone(n.active[keep:])
	n.active = append(slices.Clone(n.active[:keep]), others...)
	return cut
}

// toyEdge is one epoch of an edge: a journal in memory.
type toyEdge struct {
	id     slice.StreamID
	shares []pool.Share // by sequence - 1
	blocks [][]byte     // encoded, not all of them in the stream yet
	sent   int
	prev   [32]byte
}

// write makes a journal block of shares and returns the first sequence.
func (e *toyEdge) write(t failer, shares ...pool.Share) {
	t.Helper()
	first := uint64(len(e.shares)) + 1
	raw, err := journal.Encode(nil, testPool, e.id.Epoch, first, e.prev, shares)
	if err != nil {
		t.Fatal(err)
	}
	b, err := journal.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range shares {
		shares[i].Seq = first + uint64(i)
		e.shares = append(e.shares, shares[i])
	}
	e.prev, e.blocks = b.Hash(), append(e.blocks, raw)
}

// toyStreams is Redis in memory; what is trimmed is gone.
type toyStreams struct {
	mu      sync.Mutex
	edges   []*toyEdge
	trimmed map[slice.StreamID]uint64
	told    map[slice.StreamID]uint64 // to edges
	found   []CandidateMsg
	down    bool
}

func (r *toyStreams) PublishReleases(_ context.Context, through map[slice.StreamID]uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.err(); err != nil {
		return err
	}
	if r.told == nil {
		r.told = make(map[slice.StreamID]uint64)
	}
	maps.Copy(r.told, through)
	return nil
}

func (r *toyStreams) Releases(context.Context) (map[slice.StreamID]uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.told), nil // the tests of a Redis that is down begin later
}

func (r *toyStreams) err() error {
	if r.down {
		return errors.New("redis is down")
	}
	return nil
}

func (r *toyStreams) Epochs(context.Context) (ids []slice.StreamID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.edges {
		ids = append(ids, e.id)
	}
	return ids, r.err()
}

func (r *toyStreams) Read(_ context.Context, id slice.StreamID, after uint64, limit int) (out [][]byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.edges {
		if e.id != id {
			continue
		}
		for _, raw := range e.blocks[:e.sent] {
			b, err := journal.Parse(raw)
			if err != nil {
				return nil, err
			}
			if b.Last() > after && b.Last() > r.trimmed[id] && len(out) < limit {
				out = append(out, raw)
			}
		}
	}
	return out, r.err()
}

func (r *toyStreams) Candidates(context.Context, string) ([]CandidateMsg, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.found), r.err()
}

func (r *toyStreams) AckCandidate(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.err(); err != nil {
		return err
	}
	r.found = slices.DeleteFunc(r.found, func(m CandidateMsg) bool { return m.ID == id })
	return nil
}

func (r *toyStreams) Trim(_ context.Context, id slice.StreamID, through uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trimmed[id] = max(r.trimmed[id], through)
	return r.err()
}

// deliver puts a candidate into Redis, through JSON as the real one does.
func (r *toyStreams) deliver(t failer, c pool.Candidate) {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var m CandidateMsg
	if err := json.Unmarshal(b, &m.Candidate); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m.ID = fmt.Sprint(len(r.found), c.Hash)
	r.found = append(r.found, m)
}

// toyMirror checks the chain of heads.
type toyMirror struct {
	mu      sync.Mutex
	head    ledger.Head
	entries int
	fail    int // calls that fail
}

func (m *toyMirror) Head(context.Context) (ledger.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, nil
}

func (m *toyMirror) Apply(_ context.Context, prev ledger.Head, entries []ledger.Entry, heads []ledger.Head) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail > 0 {
		m.fail--
		return errors.New("redis is away")
	}
	if prev != m.head {
		return errors.New("mirror stands elsewhere")
	}
	for i, e := range entries {
		if e.Seq != m.head.Seq+1 || heads[i].Seq != e.Seq {
			return fmt.Errorf("entry %d on head %d", e.Seq, m.head.Seq)
		}
		m.head = heads[i]
		m.entries++
	}
	return nil
}

// crashFS is a disk that can lose its power: what was not fsynced is then gone. It can also be told to
// fail from a certain write on.
type crashFS struct {
	journal.FS
	mu     sync.Mutex
	synced map[string][]byte // content of files written through it, as of their last fsync
	left   int               // writes and syncs until everything fails, -1: never
}

var errPower = errors.New("power is gone")

func newCrashFS() *crashFS {
	return &crashFS{FS: journal.Disk{}, synced: make(map[string][]byte), left: -1}
}

func (c *crashFS) spend() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return errPower
	}
	if c.left > 0 {
		c.left--
	}
	return nil
}

func (c *crashFS) Open(name string, flag int) (journal.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := c.spend(); err != nil {
			return nil, err
		}
	}
	f, err := c.FS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.synced[name]; !known && flag != os.O_RDONLY {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c.synced[name] = b
	}
	return &crashFile{f, c, name}, nil
}

func (c *crashFS) Rename(from, to string) error {
	if err := c.spend(); err != nil {
		return err
	}
	if err := c.FS.Rename(from, to); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced[to] = c.synced[from]
	delete(c.synced, from)
	return nil
}

type crashFile struct {
	journal.File
	fs   *crashFS
	name string
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.spend(); err != nil {
		f.File.WriteAt(p[:len(p)/2], off)
		return len(p) / 2, err
	}
	return f.File.WriteAt(p, off)
}

func (f *crashFile) Sync() error {
	if err := f.fs.spend(); err != nil {
		return err
	}
	b, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.synced[f.name] = b
	return nil
}

// lose takes the power: keep bytes of what was not fsynced of each file stay.
func (c *crashFS) lose(t failer, keep int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, synced := range c.synced {
		now, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(now) > len(synced) && bytes.HasPrefix(now, synced) {
			synced = now[:min(len(now), len(synced)+keep)]
		}
		if err := os.WriteFile(name, synced, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.synced, c.left = make(map[string][]byte), -1
}

// world is a pool around one settler.
type world struct {
	t       failer
	dir     string
	node    *toyNode
	streams *toyStreams
	fs      *crashFS
	scheme  pool.Scheme
	book    *ledger.Book
	s       *Settler
	now     time.Time
	log     zerolog.Logger
	key     ledger.HeadKey
	n       string                   // of PPLNS
	extras  map[pool.Hash]pool.Share // shares of candidates that were never journalled
}

func newWorld(t failer, dir, schemeName, n string) *world {
	t.Helper()
	scheme, err := all.Find(schemeName, n)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, dir: dir, node: newToyNode(), streams: &toyStreams{trimmed: make(map[slice.StreamID]uint64)},
		fs: newCrashFS(), scheme: scheme, now: time.UnixMilli(1_700_000_000_000), log: zerolog.New(io.Discard),
		key: testKey, n: n, extras: make(map[pool.Hash]pool.Share),
	}
	w.start()
	return w
}

func (w *world) edge(name string, epoch uint64) *toyEdge {
	e := &toyEdge{id: slice.StreamID{Edge: name, Epoch: epoch}}
	w.streams.edges = append(w.streams.edges, e)
	return e
}

var testKey, testKeyText = ledger.NewHeadKey()

var testSecret = allocation.Secret{1, 2, 3}

func (w *world) options() Options {
	return Options{
		Pool: testPool, Chain: toyChain{}, Node: w.node, Book: w.book, Dir: filepath.Join(w.dir, "slices"),
		Streams: w.streams, Scheme: w.scheme, FeePPM: testPPM, RewardScript: rewardScript,
		Secret: testSecret, Allocations: filepath.Join(w.dir, "allocations"), FS: w.fs, Log: w.log,
		HeadKey: w.key, Heads: filepath.Join(w.dir, "heads"), HeadEvery: time.Minute,
	}
}

// start opens book and settler, as a process does.
func (w *world) start() {
	w.t.Helper()
	var err error
	if w.book, err = ledger.Open(ledger.Options{Dir: filepath.Join(w.dir, "ledger"), Pool: testPool, Log: w.log}); err != nil {
		w.t.Fatal(err)
	}
	if w.s, err = New(w.options()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.s.term(context.Background(), 1); err != nil {
		w.t.Fatal(err)
	}
}

// stop ends the process without a last word.
func (w *world) stop() {
	w.t.Helper()
	if err := errors.Join(w.s.Close(), w.book.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// turn lets the settler work once, d later.
func (w *world) turn(d time.Duration) error {
	w.now = w.now.Add(d)
	_, err := w.s.turn(context.Background(), w.now)
	return err
}

// settle lets it work until nothing is left to do.
func (w *world) settle() {
	w.t.Helper()
	for range 8 {
		if err := w.turn(11 * time.Second); err != nil {
			w.t.Fatal(err)
		}
	}
}

// flush sends all that the edges have.
func (w *world) flush() {
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	for _, e := range w.streams.edges {
		e.sent = len(e.blocks)
	}
}

func (w *world) share(who int, credit uint64) pool.Share {
	return pool.Share{
		Time: w.now.UnixMilli(), Account: accountOf(who), Script: script(who), Worker: "rig", Scheme: pool.SchemePPLNS,
		Issued: pool.WorkOf(credit), Credit: pool.WorkOf(credit), Bits: testBits, Job: 1, Hash: [16]byte{byte(who)},
	}
}

func (w *world) candidate(name string, e *toyEdge, height int64, share pool.Share) pool.Candidate {
	return pool.Candidate{
		Pool: testPool, Height: height, Hash: block(name), Bits: testBits, Value: 5_000_000_001,
		Time: w.now.UnixMilli(), Epoch: e.id.Epoch, Share: share,
	}
}

func (w *world) doc(id pool.Hash) ledger.BlockDoc {
	w.t.Helper()
	var doc ledger.BlockDoc
	if ok, err := ledger.Decode(w.book, ledger.SetBlocks, id.String(), &doc); err != nil || !ok {
		w.t.Fatalf("block %s: %v, %v", id, ok, err)
	}
	return doc
}

// dump is the fold's state in words.
func (f *fold) dump() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "head %x\n", f.store.Head())
	record, err := f.open.freeze(f.cursors, slice.ReasonOpen, pool.Hash{}).AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(&b, "open %x\n", record)
	for _, id := range f.streams() {
		fmt.Fprintf(&b, "%s %d %x\n", id, f.cursors[id].next, f.cursors[id].link)
	}
	var lines []string
	for epoch, seqs := range f.skips {
		for seq := range seqs {
			lines = append(lines, fmt.Sprintf("skip %x %d\n", epoch, seq))
		}
	}
	for account, script := range f.scripts {
		lines = append(lines, fmt.Sprintf("script %s %x\n", account, script))
	}
	for id, number := range f.blocks {
		lines = append(lines, fmt.Sprintf("block %s %d\n", id, number))
	}
	slices.Sort(lines)
	for _, l := range lines {
		b.WriteString(l)
	}
	return fmt.Sprintf("%x\n", sha256.Sum256(b.Bytes())) + b.String()
}
