package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

type toyWindows struct {
	mu    sync.Mutex
	total pool.Work
	n     int
}

func (w *toyWindows) PublishWindow(_ context.Context, total pool.Work, weights []pool.Weight) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total, w.n = total, len(weights)
	return nil
}

// The whole, run: Redis fails at times, is emptied, and all follows; a lost lease ends it, another begins a
// new term.
func TestRun(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	w.stop()
	var err error
	if w.book, err = ledger.Open(ledger.Options{Dir: w.dir + "/ledger", Pool: testPool, Log: w.log}); err != nil {
		t.Fatal(err)
	}
	defer w.book.Close()
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/4000), w.share(2, wn/4000))
	w.flush()
	mirror, windows := &toyMirror{fail: 2}, &toyWindows{}
	o := w.options()
	o.Mirror, o.Windows = mirror, windows
	o.Poll, o.TipPoll, o.Publish = time.Millisecond, 5*time.Millisecond, 5*time.Millisecond
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, 1) }()
	await(t, "shares folded, published and released", func() bool {
		windows.mu.Lock()
		defer windows.mu.Unlock()
		told, _ := w.streams.Releases(ctx)
		return windows.n == 2 && !windows.total.IsZero() && told[e.id] == 2
	})
	w.streams.deliver(t, w.candidate("b", e, 1, e.shares[1]))
	w.node.mine("b", pays(rewardScript, reward))
	for i := range maturity {
		w.node.mine(string(rune('c' + i)))
	}
	await(t, "a mature block", func() bool { return w.book.Balance(ledger.MinerAvailable(accountOf(1))) > 0 })
	same := func() bool {
		head, _ := mirror.Head(ctx)
		return head == w.book.Head()
	}
	await(t, "the mirror", same)
	mirror.mu.Lock()
	mirror.head = ledger.Head{} // Redis is emptied
	mirror.mu.Unlock()
	await(t, "the mirror again", same)

	term := w.book.Head().Term
	cancel(ErrLeaseLost)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancelCause(context.Background())
	go func() { done <- s.Run(ctx, 2) }()
	await(t, "a new term", func() bool { return w.book.Head().Term > term })
	cancel(nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A mirror that knows more than the disk, or something else, stops the settler.
func TestMirrorOfAnotherLedger(t *testing.T) {
	for name, tt := range map[string]struct {
		head ledger.Head
		want error
	}{
		"ahead": {ledger.Head{Seq: 99, Term: 1}, ErrDiskBehind},
		"other": {ledger.Head{Seq: 1, Term: 1, Hash: [32]byte{1}}, ErrOtherHistory},
	} {
		w := newWorld(t, t.TempDir(), "pplns", "2")
		o := w.options()
		o.Dir, o.Mirror = t.TempDir(), &toyMirror{head: tt.head}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		head := w.book.Head()
		if err := s.Run(context.Background(), 1); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if w.book.Head() != head {
			t.Errorf("%s: the ledger was written to", name)
		}
		s.Close()
		w.stop()
	}
}

// Slices that end before what edges were told to drop stop the settler: the disk was restored.
func TestSlicesBehindReleases(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	defer w.stop()
	id := slice.StreamID{Edge: "a", Epoch: 7}
	if err := w.streams.PublishReleases(t.Context(), map[slice.StreamID]uint64{id: 3}); err != nil {
		t.Fatal(err)
	}
	head := w.book.Head()
	if err := w.s.Run(t.Context(), 2); !errors.Is(err, ErrDiskBehind) {
		t.Errorf("%v", err)
	}
	if w.book.Head() != head {
		t.Error("the ledger was written to")
	}
}

// A block that was mature at the last look is reorganised away while nobody looks, by a chain so long
// that it would be final: it is orphaned all the same.
func TestReorgWhileAway(t *testing.T) {
	w := newWorld(t, t.TempDir(), "pplns", "2")
	e := w.edge("a", 7)
	e.write(t, w.share(1, wn/4000))
	w.flush()
	w.settle()
	w.streams.deliver(t, w.candidate("b", e, 1, e.shares[0]))
	w.node.mine("b", pays(rewardScript, reward))
	for i := range maturity {
		w.node.mine(string(rune('c' + i)))
	}
	w.settle()
	w.stop()
	w.node.branch(1, nil)
	for i := range 60 {
		w.node.mine("other" + string(rune('A'+i)))
	}
	w.start()
	defer w.stop()
	w.settle()
	if doc := w.doc(block("b")); doc.State != ledger.BlockOrphaned {
		t.Errorf("the block is %s", doc.State)
	}
	if len(w.s.blocks) != 0 {
		t.Error("a final block is still watched")
	}
}

func BenchmarkFold(b *testing.B) {
	w := newWorld(b, b.TempDir(), "pplns", "2")
	defer w.stop()
	e := w.edge("a", 7)
	const size = 256
	for i := 0; b.Loop(); i++ {
		if i%64 == 0 {
			b.StopTimer()
			for range 64 {
				var shares []pool.Share
				for j := range size {
					shares = append(shares, w.share(j%200, wn/20_000_000))
				}
				e.write(b, shares...)
			}
			b.StartTimer()
		}
		if _, err := w.s.fold.block(e.id, e.blocks[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "shares/s")
}
