package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPool = "main"

// toyRedis has a mirror that only the holder of the lease may write to.
type toyRedis struct {
	mu    sync.Mutex
	heads []ledger.Head
	token uint64
	owner string
}

// toyMirror is one ledger's way to it.
type toyMirror struct {
	r     *toyRedis
	token uint64
	owner string
}

func (r *toyRedis) acquire(owner string) *toyMirror {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token++
	r.owner = owner
	return &toyMirror{r, r.token, owner}
}

func (m *toyMirror) Head(context.Context) (ledger.Head, error) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if len(m.r.heads) == 0 {
		return ledger.Head{}, nil
	}
	return m.r.heads[len(m.r.heads)-1], nil
}

func (m *toyMirror) Apply(_ context.Context, prev ledger.Head, _ []ledger.Entry, heads []ledger.Head) error {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.r.token != m.token || m.r.owner != m.owner {
		return settle.ErrLeaseLost
	}
	at := ledger.Head{}
	if n := len(m.r.heads); n > 0 {
		at = m.r.heads[n-1]
	}
	if at != prev {
		return errors.New("the mirror is elsewhere")
	}
	m.r.heads = append(m.r.heads, heads...)
	return nil
}

// toyLink is the way to the other disk.
type toyLink struct {
	to    *toyNode
	state string // "up", "down", or "deaf": calls arrive, answers do not
}

var errLink = errors.New("no answer")

func through[T any](l *toyLink, call func(k *Keeper) (T, error)) (T, error) {
	var none T
	if l.state == "down" || l.to.k == nil {
		return none, errLink
	}
	v, err := call(l.to.k)
	if l.state == "deaf" {
		return none, errLink
	}
	return v, err
}

func (l *toyLink) Hello(ctx context.Context, pool string, term uint64, owner string) (Greeting, error) {
	return through(l, func(k *Keeper) (Greeting, error) { return k.Hello(ctx, pool, term, owner) })
}

func (l *toyLink) HeadAt(ctx context.Context, seq uint64) (ledger.Head, error) {
	return through(l, func(k *Keeper) (ledger.Head, error) { return k.HeadAt(ctx, seq) })
}

func (l *toyLink) Follow(ctx context.Context, by Leader, prev ledger.Head, lines []byte, committed ledger.Head) (ledger.Head, error) {
	return through(l, func(k *Keeper) (ledger.Head, error) { return k.Follow(ctx, by, prev, lines, committed) })
}

func (l *toyLink) Cut(ctx context.Context, by Leader, to ledger.Head) error {
	_, err := through(l, func(k *Keeper) (struct{}, error) { return struct{}{}, k.Cut(ctx, by, to) })
	return err
}

func (l *toyLink) Files(ctx context.Context) ([]FileInfo, error) {
	return through(l, func(k *Keeper) ([]FileInfo, error) { return k.Files(ctx) })
}

func (l *toyLink) Put(ctx context.Context, by Leader, p Part) error {
	_, err := through(l, func(k *Keeper) (struct{}, error) { return struct{}{}, k.Put(ctx, by, p) })
	return err
}

// toyNode is one disk and the process on it.
type toyNode struct {
	name string
	dir  string
	link *toyLink // to the other
	k    *Keeper  // nil while the process is down
	c    *copies  // of a tenure that may be over without its knowing
	kept string   // copy of the disk as it once was
}

type toyPair struct {
	t     *rapid.T
	redis *toyRedis
	nodes [2]*toyNode
	acked []string // keys of entries that counted
	calls int      // for keys
	alarm error    // a person was called
}

func newToyPair(t *rapid.T, dir string) *toyPair {
	p := &toyPair{t: t, redis: &toyRedis{}}
	for i := range p.nodes {
		p.nodes[i] = &toyNode{name: string(rune('A' + i)), dir: filepath.Join(dir, string(rune('a'+i)))}
	}
	for i, n := range p.nodes {
		n.link = &toyLink{to: p.nodes[1-i], state: "up"}
		p.start(n)
	}
	return p
}

// start opens a disk, as a process does that has just begun.
func (p *toyPair) start(n *toyNode) {
	p.t.Helper()
	n.k = &Keeper{
		o: Options{Name: n.name, Dir: n.dir, Settle: settle.Options{Pool: testPool}}, log: zerolog.Nop(),
		owner: n.name, disk: &tracker{root: n.dir}, said: make(map[string]time.Time),
	}
	if err := n.k.open(); err != nil {
		p.t.Fatalf("%s: %v", n.name, err)
	}
}

func (p *toyPair) stop(n *toyNode) {
	if n.k == nil {
		return
	}
	if err := n.k.Close(); err != nil {
		p.t.Fatal(err)
	}
	n.k, n.c = nil, nil
}

// lead is what a ledger role does with the lease.
func (p *toyPair) lead(n *toyNode) error {
	n.k.book.SetCommit(nil)
	mirror := p.redis.acquire(n.name)
	c := &copies{
		peer: n.link, book: n.k.book, mirror: mirror, disk: n.k.disk, owner: n.name, pool: testPool, log: zerolog.Nop(),
		life: context.Background(),
	}
	if err := c.begin(context.Background()); err != nil {
		n.again(p)
		return err
	}
	n.c = c
	n.k.book.SetCommit(c.commit)
	if err := p.post(n, "term"); err != nil {
		return err
	}
	return p.tend(n)
}

// again opens the disk anew, as the end of a tenure does.
func (n *toyNode) again(p *toyPair) {
	p.stop(n)
	p.start(n)
}

// post posts; an entry that counted is remembered.
func (p *toyPair) post(n *toyNode, kind string) error {
	p.calls++
	key := fmt.Sprintf("%s/%d", kind, p.calls)
	_, err := n.k.book.Post(ledger.Entry{Kind: kind, Key: key, Body: json.RawMessage(`{}`)})
	if err == nil {
		p.acked = append(p.acked, key)
		return nil
	}
	n.again(p) // a book that failed is opened anew
	return err
}

// tend is one turn of copies.run.
func (p *toyPair) tend(n *toyNode) error {
	if mode, _ := n.c.now(); mode != Both {
		if err := n.c.meet(context.Background()); errors.Is(err, ledger.ErrForked) || errors.Is(err, errGiveWay) {
			n.again(p)
			return err
		}
	}
	if err := n.c.record(nil); err != nil {
		n.again(p)
		return err
	}
	return nil
}

// noted calls a person for what only a person can decide. A disk that is behind alone only waits for the
// other.
func (p *toyPair) noted(err error) {
	if errors.Is(err, ledger.ErrForked) {
		p.alarm = err
	}
}

// settleDown heals everything and lets the two lead in turn until one has both disks.
func (p *toyPair) settleDown() error {
	for _, n := range p.nodes {
		n.link.state = "up"
		n.again(p)
	}
	var err error
	for i := range 6 {
		n := p.nodes[i%2]
		if err = p.lead(n); err != nil {
			continue
		}
		if mode, _ := n.c.now(); mode != Both {
			p.t.Fatalf("%s leads %s with both disks at work", n.name, mode)
		}
		return nil
	}
	return err
}

// check compares both disks with each other and with all that counted.
func (p *toyPair) check() {
	p.t.Helper()
	a, b := p.nodes[0].k.book, p.nodes[1].k.book
	if a.Head() != b.Head() {
		p.t.Fatalf("the disks end at %d and %d", a.Head().Seq, b.Head().Seq)
	}
	for _, key := range p.acked {
		if _, ok, err := a.Find(key); !ok || err != nil {
			p.t.Fatalf("%s counted and is gone (%v)", key, err)
		}
	}
}

func tempDir(t *testing.T) string {
	if dir, err := os.MkdirTemp("/dev/shm", "adit-test-"); err == nil { // no disk behind it: fsync is fast
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// TestCopies: two disks, takeovers at any moment (the one before goes on without knowing), crashes, links that
// lose calls or answers, a Redis that is emptied, disks that are set back. What counted is on both disks in the
// end, or a person was called. With nothing worse than crashes, links and takeovers nobody is ever called.
func TestCopies(t *testing.T) {
	base := tempDir(t)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		p := newToyPair(t, filepath.Join(base, fmt.Sprint(runs)))
		defer func() {
			for _, n := range p.nodes {
				p.stop(n)
			}
			os.RemoveAll(filepath.Join(base, fmt.Sprint(runs)))
		}()
		kinds := []string{"post", "post", "post", "lead", "lead", "crash", "link", "tend"}
		rough := rapid.Bool().Draw(t, "rough")
		if rough {
			kinds = append(kinds, "empty", "keep", "set back")
		}
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			n := p.nodes[rapid.IntRange(0, 1).Draw(t, "node")]
			switch rapid.SampledFrom(kinds).Draw(t, "what") {
			case "lead":
				p.noted(p.lead(n))
			case "post":
				if n.c != nil {
					p.noted(p.post(n, "x"))
				}
			case "tend":
				if n.c != nil {
					p.noted(p.tend(n))
				}
			case "crash":
				n.again(p)
			case "link":
				n.link.state = rapid.SampledFrom([]string{"up", "down", "deaf"}).Draw(t, "state")
			case "empty":
				p.redis.mu.Lock()
				p.redis.heads = nil
				p.redis.mu.Unlock()
			case "keep":
				p.keep(n)
			case "set back":
				p.setBack(n)
			}
		}
		err := p.settleDown()
		if errors.Is(err, settle.ErrDiskBehind) || errors.Is(err, settle.ErrOtherHistory) || errors.Is(err, ledger.ErrForked) {
			p.alarm = err
		}
		switch {
		case p.alarm != nil && !rough:
			t.Fatalf("a person was called for nothing: %v", p.alarm)
		case err == nil && !rough:
			p.check()
		case err == nil && p.alarm == nil:
			p.checkRough()
		case err != nil && p.alarm == nil:
			t.Fatalf("the ledgers do not come together: %v", err)
		}
	})
}

// keep copies the disk as it is.
func (p *toyPair) keep(n *toyNode) {
	p.stop(n)
	n.kept = n.dir + ".kept"
	if err := errors.Join(os.RemoveAll(n.kept), os.CopyFS(n.kept, os.DirFS(n.dir))); err != nil {
		p.t.Fatal(err)
	}
	p.start(n)
}

// setBack restores it.
func (p *toyPair) setBack(n *toyNode) {
	if n.kept == "" {
		return
	}
	p.stop(n)
	if err := errors.Join(os.RemoveAll(n.dir), os.CopyFS(n.dir, os.DirFS(n.kept))); err != nil {
		p.t.Fatal(err)
	}
	p.start(n)
}

// checkRough: Redis and disks forgot at will, so an entry may be lost from all of them; but the two disks are
// one, and what one of them ever committed and still knows of is there.
func (p *toyPair) checkRough() {
	p.t.Helper()
	a, b := p.nodes[0].k.book, p.nodes[1].k.book
	if a.Head() != b.Head() {
		p.t.Fatalf("the disks end at %d and %d", a.Head().Seq, b.Head().Seq)
	}
	for _, n := range p.nodes {
		s := n.k.book.Standing()
		if at, err := a.HeadAt(s.Committed.Seq); err != nil || at != s.Committed {
			p.t.Fatalf("%s knows entry %d as committed, and it is another: %v", n.name, s.Committed.Seq, err)
		}
	}
}
