package edge

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
)

// TestBlockReachesEveryNode has nodes that are slow, lie, fail and recover.
func TestBlockReachesEveryNode(t *testing.T) {
	f := func(name, want string, nodes ...func(context.Context, int) (pool.SubmitResult, string, error)) {
		t.Run(name, func(t *testing.T) {
			m, dir := newMemStream(t), t.TempDir()
			var fakes []*fakeNode
			o := rigOptions{dir: dir}
			for _, answer := range nodes {
				n := &fakeNode{name: name, answer: answer, tip: 106}
				fakes, o.nodes = append(fakes, n), append(o.nodes, n)
			}
			r := newRig(t, m, o)
			v, c := r.submit(true)
			if v.Reject != pool.Accepted {
				t.Fatal(v.Reject)
			}
			<-c.Done()
			m.await(t, "publication", func() bool { return m.blocks[v.Candidate.Hash].Share.Seq == v.Share.Seq && v.Share.Seq == 1 })
			m.await(t, "result "+want, func() bool {
				rec, block, err := readRecord(journal.Disk{}, dir+"/candidates/"+v.Candidate.Hash.String()+recordSuffix)
				if err == nil && string(block) != string(v.Candidate.Block) {
					t.Errorf("record holds another block")
				}
				return err == nil && rec.Result == want && rec.Journalled
			})
			for i, n := range fakes {
				if n.count() == 0 || string(n.calls[0]) != string(v.Candidate.Block) {
					t.Fatalf("node %d did not get the block", i)
				}
			}
			m.settle(v.Candidate.Hash)
			fakes[len(fakes)-1].become(200, false)
			m.await(t, "the end of the record", func() bool { return len(candidateFiles(t, dir)) == 0 })
		})
	}
	accepted, rejected, side := always(pool.SubmitAccepted), always(pool.SubmitRejected), always(pool.SubmitSideChain)
	inconclusive := always(pool.SubmitUnknown)
	broken := func(context.Context, int) (pool.SubmitResult, string, error) {
		return pool.SubmitAccepted, "", errors.New("connection refused") // an error is no answer, whatever stands beside it
	}
	later := func(context.Context, int) (pool.SubmitResult, string, error) { return 0, "", nil }
	slow := func(ctx context.Context, _ int) (pool.SubmitResult, string, error) {
		select {
		case <-ctx.Done():
			return 0, "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
			return pool.SubmitAccepted, "", nil
		}
	}
	third := func(ctx context.Context, call int) (pool.SubmitResult, string, error) {
		if call < 3 {
			return later(ctx, call)
		}
		return pool.SubmitAccepted, "", nil
	}
	f("accepted", "accepted", accepted)
	f("all accept", "accepted", accepted, slow, accepted)
	f("one is down", "accepted", accepted, broken)
	f("inconclusive first", "accepted", third)
	f("one lies that it is invalid", "accepted", rejected, third)
	f("one never knows", "accepted", inconclusive, third)
	f("rejected", "rejected", rejected, rejected)
	f("side chain", "side chain", side, rejected)
}

// TestBlockIgnoresDisk finds a block while every disk fails, and while the disk of the records hangs.
func TestBlockIgnoresDisk(t *testing.T) {
	f := func(name string, disk journal.FS, release func()) {
		t.Run(name, func(t *testing.T) {
			defer release()
			m, node := newMemStream(t), &fakeNode{name: "n", answer: always(pool.SubmitAccepted)}
			full := &faultyDisk{}
			r := newRig(t, m, rigOptions{dir: t.TempDir(), fs: full, recordFS: disk, nodes: []pool.Node{node}})
			full.mu.Lock()
			full.fail = 1 << 30
			full.mu.Unlock()
			began := time.Now()
			v, c := r.submit(true)
			if d := time.Since(began); d > 20*time.Second {
				t.Fatalf("the miner waited %v", d)
			}
			m.await(t, "submission", func() bool { return node.count() > 0 })
			if node.at.Sub(began) > 20*time.Second { // 2 ms and what a busy machine adds
				t.Fatalf("submitted after %v", node.at.Sub(began))
			}
			if <-c.Done(); c.Err() == nil {
				t.Fatal("share was acknowledged on a full disk")
			}
			m.await(t, "publication", func() bool { c, ok := m.blocks[v.Candidate.Hash]; return ok && c.Share.Seq == 0 })
			release()
			m.await(t, "statistics name the disk", func() bool {
				n := len(m.reports)
				return n > 0 && !m.reports[n-1].JournalOK && strings.Contains(m.reports[n-1].JournalError, "no space left")
			})
			full.mu.Lock()
			full.fail = 0
			full.mu.Unlock()
		})
	}
	f("full", &faultyDisk{fail: 1 << 30}, func() {})
	hung := &hungDisk{free: make(chan struct{})}
	f("hung", hung, sync.OnceFunc(func() { close(hung.free) }))
}

// hungDisk opens no file until it is freed.
type hungDisk struct {
	journal.Disk
	free chan struct{}
}

func (d *hungDisk) Open(name string, flag int) (journal.File, error) {
	<-d.free
	return d.Disk.Open(name, flag)
}

// TestStaleBlock submits a block of a tip that was replaced: refused as a share, offered as a block.
func TestStaleBlock(t *testing.T) {
	m, node := newMemStream(t), &fakeNode{name: "n", answer: always(pool.SubmitSideChain), tip: 200}
	r := newRig(t, m, rigOptions{dir: t.TempDir(), nodes: []pool.Node{node}})
	changed := r.edge.JobChanged()
	r.template(101, 2)
	select {
	case <-changed:
	default:
		t.Fatal("nobody was told of the job")
	}
	v, c := r.submit(true)
	if v.Reject != pool.RejectStale || c != nil || v.Candidate == nil {
		t.Fatalf("verdict %v, commit %v", v.Reject, c)
	}
	m.await(t, "publication", func() bool { c, ok := m.blocks[v.Candidate.Hash]; return ok && c.Share.Seq == 0 })
	m.await(t, "submission", func() bool { return node.count() > 0 })
}

// TestRestart ends runs at every stage of a block's life and looks that the next one goes on.
func TestRestart(t *testing.T) {
	m, dir := newMemStream(t), t.TempDir()
	down := &fakeNode{name: "n", answer: always(pool.SubmitUnknown)}
	m.setFail(func() error { return errAway })
	r := newRig(t, m, rigOptions{dir: dir, nodes: []pool.Node{down}})
	r.share(t)
	v, c := r.submit(true)
	if <-c.Done(); c.Err() != nil {
		t.Fatal(c.Err())
	}
	m.await(t, "first attempt", func() bool { return down.count() > 0 })
	r.stop() // node and Redis were never there
	files := candidateFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("records %v", files)
	}

	// As after kill -9 between write and rename, and before the share's fate was written down.
	path := dir + "/candidates/" + files[0]
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content = []byte(strings.Replace(strings.Replace(string(content), `"journalled":true`, `"journalled":false`, 1), `"Seq":2`, `"Seq":0`, 1))
	if err := os.WriteFile(path+tmpSuffix, content, 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(path)
	os.WriteFile(dir+"/candidates/"+strings.Repeat("0", 64)+recordSuffix, []byte("half a rec"), 0o600)

	up := &fakeNode{name: "n", answer: always(pool.SubmitAccepted)}
	m.setFail(nil)
	r = newRig(t, m, rigOptions{dir: dir, nodes: []pool.Node{up}})
	m.await(t, "publication with its sequence", func() bool { return m.blocks[v.Candidate.Hash].Share.Seq == 2 })
	m.await(t, "submission", func() bool { return up.count() == 1 })
	if string(up.calls[0]) != string(v.Candidate.Block) {
		t.Fatal("another block was submitted")
	}
	m.await(t, "result", func() bool {
		rec, _, err := readRecord(journal.Disk{}, path)
		return err == nil && rec.Result != "" && rec.Journalled
	})
	r.stop()

	// The nodes have answered; the ledger, for all we know, has not heard: told again, not submitted again.
	m.rollback(-1)
	newRig(t, m, rigOptions{dir: dir, nodes: []pool.Node{up}})
	m.await(t, "second publication", func() bool { return m.blocks[v.Candidate.Hash].Share.Seq == 2 })
	m.rollback(-1)
	m.await(t, "publication after a flush", func() bool { return m.blocks[v.Candidate.Hash].Share.Seq == 2 })
	if up.count() != 1 {
		t.Fatalf("submitted %d times", up.count())
	}
	m.settle(v.Candidate.Hash)
	up.become(200, false)
	m.await(t, "no record but the unreadable one, which stays for a person", func() bool {
		left := candidateFiles(t, dir)
		return len(left) == 1 && strings.HasPrefix(left[0], "000")
	})
}

// TestForgottenBlock has a node that takes a block and then forgets it, as one does that is killed before its
// disk has it: the block is offered again until it is mature, also after a restart, and its record stays.
func TestForgottenBlock(t *testing.T) {
	m, dir := newMemStream(t), t.TempDir()
	node := &fakeNode{name: "n", answer: always(pool.SubmitAccepted), tip: 100}
	r := newRig(t, m, rigOptions{dir: dir, nodes: []pool.Node{node}})
	v, c := r.submit(true)
	<-c.Done()
	m.settle(v.Candidate.Hash)
	m.await(t, "submission", func() bool { return node.count() == 1 })
	unsettled := func() int { return len(r.edge.candidates.unsettled()) }
	m.await(t, "the ledger has it", func() bool { return unsettled() == 0 })
	for i := range 2 {
		node.become(100+int64(i), true)
		was := node.count()
		m.await(t, "another submission", func() bool { return node.count() > was })
		node.become(150, false)
		r.stop()
		if _, _, err := readRecord(journal.Disk{}, dir+"/candidates/"+v.Candidate.Hash.String()+recordSuffix); err != nil {
			t.Fatalf("the record before the block is mature: %v", err)
		}
		r = newRig(t, m, rigOptions{dir: dir, nodes: []pool.Node{node}})
	}
	for _, block := range node.calls {
		if string(block) != string(v.Candidate.Block) {
			t.Fatal("another block was submitted")
		}
	}
	node.become(v.Candidate.Height+100, true)
	m.await(t, "the end of the record", func() bool { return len(candidateFiles(t, dir)) == 0 })
}

// TestForgottenInOrder has forgotten blocks offered parents first.
func TestForgottenInOrder(t *testing.T) {
	c := &candidates{known: map[pool.Hash]*pursuit{}}
	for i := range byte(50) {
		p := &pursuit{}
		p.candidate.Height = 100 + int64(i)
		p.record.Result = pool.SubmitAccepted.String()
		c.known[pool.Hash{i}] = p
	}
	for i, p := range c.taken() {
		if p.candidate.Height != 100+int64(i) {
			t.Fatalf("height %d is at place %d", p.candidate.Height, i)
		}
	}
}

// TestFoundWhileStopping finds a block after Run has ended: it is offered once all the same.
func TestFoundWhileStopping(t *testing.T) {
	m, dir := newMemStream(t), t.TempDir()
	node := &fakeNode{name: "n", answer: func(ctx context.Context, _ int) (pool.SubmitResult, string, error) {
		return pool.SubmitAccepted, "", ctx.Err()
	}}
	r := newRig(t, m, rigOptions{dir: dir, nodes: []pool.Node{node}})
	r.stop()
	v, _ := r.submit(true)
	rec, _, err := readRecord(journal.Disk{}, dir+"/candidates/"+v.Candidate.Hash.String()+recordSuffix)
	if err != nil || node.count() != 1 || rec.Result != "accepted" || rec.Journalled {
		t.Fatalf("%d submissions, record %+v, %v", node.count(), rec, err)
	}
}

func FuzzRecord(f *testing.F) {
	r := record{Version: recordVersion, Candidate: pool.Candidate{Pool: "toy", Height: 7}}
	content, err := r.encode([]byte(hex.EncodeToString([]byte("block"))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte("{}\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, block, err := decodeRecord(content)
		if err != nil {
			return
		}
		again, err := r.encode([]byte(hex.EncodeToString(block)))
		if err != nil {
			t.Fatal(err)
		}
		if _, b, err := decodeRecord(again); err != nil || string(b) != string(block) {
			t.Fatalf("second round: %v", err)
		}
	})
}
