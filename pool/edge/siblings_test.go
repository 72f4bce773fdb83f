package edge

import (
	"context"
	"testing"

	"github.com/adit-pool/adit/pool"
)

// gate is a node that answers when it is told to, each call the next word.
func gate() (*fakeNode, chan pool.SubmitResult) {
	words := make(chan pool.SubmitResult)
	return &fakeNode{name: "gate", tip: 300, answer: func(ctx context.Context, _ int) (pool.SubmitResult, string, error) {
		select {
		case w := <-words:
			return w, "", nil
		case <-ctx.Done():
			return 0, "", ctx.Err()
		}
	}}, words
}

// However many blocks are found on one tip, so many are pursued at once; while none is in the chain every other
// gets its turn, when one is the rest are given up. Their shares all count, and the next tip has its own places.
func TestSiblings(t *testing.T) {
	const found = maxPursued + 20
	m := newMemStream(t)
	node, words := gate()
	r := newRig(t, m, rigOptions{dir: t.TempDir(), nodes: []pool.Node{node}})
	find := func(n int) {
		t.Helper()
		for range n {
			v, c := r.submit(true)
			if v.Reject != pool.Accepted {
				t.Fatal(v.Reject)
			}
			if <-c.Done(); c.Err() != nil {
				t.Fatal(c.Err())
			}
		}
	}
	asked := func(n int) {
		t.Helper()
		m.await(t, "blocks offered", func() bool { return node.count() == n })
	}
	find(found)
	asked(maxPursued)
	for range 5 { // no good: the next ones go out
		words <- pool.SubmitRejected
	}
	asked(maxPursued + 5)
	words <- pool.SubmitAccepted
	m.await(t, "the rest given up", func() bool {
		r.edge.candidates.mu.Lock()
		defer r.edge.candidates.mu.Unlock()
		return len(r.edge.candidates.tips[pool.Hash{1}].waiting) == 0
	})
	find(1) // there is one place again, and one more
	asked(maxPursued + 6)
	find(3)
	asked(maxPursued + 6)

	r.template(101, 2)
	r.issue()
	find(1)
	asked(maxPursued + 7)
	m.await(t, "published", func() bool { return len(m.blocks) == maxPursued+7 })
	m.await(t, "every share", func() bool { return len(m.got[r.journal.Epoch()]) == found+5 })
	for range maxPursued - 6 + 1 + 6 {
		words <- pool.SubmitSideChain
	}
}

// A found block whose share the disk did not take is not pursued again when the share comes again.
func TestBlockOfALostShare(t *testing.T) {
	m := newMemStream(t)
	node := &fakeNode{name: "n", tip: 106, answer: always(pool.SubmitAccepted)}
	disk := &faultyDisk{}
	fail := func(times int) {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		disk.fail = times
	}
	r := newRig(t, m, rigOptions{dir: t.TempDir(), fs: disk, nodes: []pool.Node{node}})
	fail(1 << 30)
	v, c := r.submit(true)
	if <-c.Done(); c.Err() == nil {
		t.Fatal("a full disk took a share")
	}
	m.await(t, "published", func() bool { return m.published > 0 })
	fail(0)
	m.await(t, "the journal to be well", func() bool { return r.journal.Err() == nil })
	r.session.Forget(v.Share.Hash)
	r.nonce--
	again, c := r.submit(true)
	if again.Reject != pool.Accepted || again.Share.Hash != v.Share.Hash {
		t.Fatalf("%v, another share: %v", again.Reject, again.Share.Hash != v.Share.Hash)
	}
	if <-c.Done(); c.Err() != nil {
		t.Fatal(c.Err())
	}
	m.await(t, "its share", func() bool { return len(m.got[r.journal.Epoch()]) == 1 })
	if n := node.count(); n != 1 {
		t.Errorf("offered %d times", n)
	}
}
