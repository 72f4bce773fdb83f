package edge

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
)

var errAway = errors.New("connection refused")

// hasAll reports that the stream's present content, and what the fold made of all deliveries, are the
// first n shares of an epoch.
func (m *memStream) hasAll(epoch uint64, n int) bool {
	return m.last[epoch] == uint64(n) && len(m.got[epoch]) == n
}

func TestForward(t *testing.T) {
	f := func(name string, fault func(m *memStream)) {
		t.Run(name, func(t *testing.T) {
			m := newMemStream(t)
			r := newRig(t, m, rigOptions{dir: t.TempDir()})
			for range 10 {
				r.share(t)
			}
			m.await(t, "first shares arrive", func() bool { return m.hasAll(r.journal.Epoch(), 10) })
			fault(m)
			for range 10 {
				r.share(t)
			}
			m.setFail(nil)
			m.await(t, "all shares arrive", func() bool { return m.hasAll(r.journal.Epoch(), 20) })
			m.await(t, "backlog", func() bool { return r.edge.Backlog() == 0 })
			m.await(t, "registration", func() bool { return m.registered[r.journal.Epoch()] > 0 })
		})
	}
	f("nothing", func(m *memStream) {})
	f("away", func(m *memStream) { m.setFail(func() error { return errAway }) })
	f("every other call fails", func(m *memStream) {
		n := 0
		m.setFail(func() error {
			if n++; n%2 == 0 {
				return errAway
			}
			return nil
		})
	})
	f("answer lost", func(m *memStream) { m.mu.Lock(); m.lostReply = true; m.mu.Unlock() })
	f("failover rolls back", func(m *memStream) { m.rollback(4) })
	f("flushed", func(m *memStream) { m.rollback(-1) })
}

// TestForwardIdle loses the stream of an earlier run, and of a run in which nothing more happens.
func TestForwardIdle(t *testing.T) {
	m, dir := newMemStream(t), t.TempDir()
	r := newRig(t, m, rigOptions{dir: dir})
	old := r.journal.Epoch()
	for range 5 {
		r.share(t)
	}
	m.await(t, "shares arrive", func() bool { return m.hasAll(old, 5) })
	r.stop()
	r = newRig(t, m, rigOptions{dir: dir})
	for range 3 {
		r.share(t)
	}
	both := func() bool { return m.hasAll(old, 5) && m.hasAll(r.journal.Epoch(), 3) }
	m.await(t, "both epochs", both)
	m.rollback(-1)
	m.await(t, "both epochs after a flush", both)
	m.await(t, "both registered again", func() bool { return m.registered[old] > 0 && m.registered[r.journal.Epoch()] > 0 })
	m.mu.Lock()
	m.through[old] = 5
	m.mu.Unlock()
	m.await(t, "the end of the old epoch", func() bool { return len(r.journal.Epochs()) == 1 })
	m.rollback(-1)
	m.await(t, "the current epoch after a flush", func() bool { return m.last[r.journal.Epoch()] == 3 })
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last[old] != 0 {
		t.Fatalf("released epoch was sent again through %d", m.last[old])
	}
}

// TestForwardAhead meets a stream that has more than the journal, and one cut inside a block.
func TestForwardAhead(t *testing.T) {
	m := newMemStream(t)
	var log lockedBuffer
	r := newRig(t, m, rigOptions{dir: t.TempDir(), log: zerolog.New(&log)})
	for range 3 {
		r.share(t)
	}
	epoch := r.journal.Epoch()
	m.await(t, "shares arrive", func() bool { return m.hasAll(epoch, 3) })
	m.mu.Lock()
	m.last[epoch] = 1000
	m.mu.Unlock()
	m.await(t, "alarm", func() bool { return strings.Contains(log.String(), "more shares than this journal") })
	if n := strings.Count(log.String(), `"level":"error"`); n != 1 {
		t.Fatalf("%d alarms", n)
	}
	m.mu.Lock()
	m.last[epoch] = 2
	m.streams[epoch] = m.streams[epoch][:2]
	m.mu.Unlock()
	m.await(t, "the stream is well again", func() bool { return m.hasAll(epoch, 3) })
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// faultyDisk fails some writes and syncs.
type faultyDisk struct {
	journal.Disk
	mu   sync.Mutex
	fail int // changes that fail from now on
}

func (d *faultyDisk) next() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail > 0 {
		d.fail--
		return errors.New("no space left on device")
	}
	return nil
}

func (d *faultyDisk) Open(name string, flag int) (journal.File, error) {
	f, err := d.Disk.Open(name, flag)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	journal.File
	d *faultyDisk
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.next(); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], off)
		return n, err
	}
	return f.File.WriteAt(b, off)
}

func (f *faultyFile) Sync() error {
	if err := f.d.next(); err != nil {
		return err
	}
	return f.File.Sync()
}

// TestForwardRandom plays random faults of disk, Redis and process: what arrives is exactly what was
// acknowledged, each share once, in order.
func TestForwardRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "run")
		if err != nil {
			rt.Fatalf("%v", err)
		}
		m, disk := newMemStream(t), &faultyDisk{}
		o := rigOptions{dir: dir, fs: disk, segment: 2000, nodes: []pool.Node{&fakeNode{answer: always(pool.SubmitAccepted)}}}
		r := newRig(t, m, o)
		defer func() { r.stop() }()
		acked := map[uint64]map[uint64]pool.Share{}
		var epochs []uint64
		released := map[uint64]uint64{}
		opened := func() {
			epochs = append(epochs, r.journal.Epoch())
			acked[r.journal.Epoch()] = map[uint64]pool.Share{}
		}
		opened()
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"shares", "shares", "shares", "block", "disk", "redis away", "redis back", "lost reply", "rollback", "flush", "restart", "release"}).Draw(rt, "step") {
			case "shares":
				var pending []pool.Share
				var commits []*pool.Commit
				for range rapid.IntRange(1, 20).Draw(rt, "n") {
					v, c := r.submit(false)
					pending, commits = append(pending, v.Share), append(commits, c)
				}
				for i, c := range commits {
					if <-c.Done(); c.Err() == nil {
						acked[r.journal.Epoch()][pending[i].Seq] = pending[i]
					}
				}
			case "block":
				v, c := r.submit(true)
				if <-c.Done(); c.Err() == nil {
					acked[r.journal.Epoch()][v.Share.Seq] = v.Share
				}
			case "disk":
				disk.mu.Lock()
				disk.fail = rapid.IntRange(1, 4).Draw(rt, "fail")
				disk.mu.Unlock()
			case "redis away":
				m.setFail(func() error { return errAway })
			case "redis back":
				m.setFail(nil)
			case "lost reply":
				m.mu.Lock()
				m.lostReply = true
				m.mu.Unlock()
			case "rollback":
				m.rollback(rapid.IntRange(1, 5).Draw(rt, "entries"))
			case "flush":
				m.rollback(-1)
			case "release": // only what the fold has
				epoch := rapid.SampledFrom(epochs).Draw(rt, "epoch")
				m.mu.Lock()
				through := uint64(len(m.got[epoch]))
				m.mu.Unlock()
				released[epoch] = through
				if err := r.journal.Release(epoch, through); err != nil {
					rt.Fatalf("release: %v", err)
				}
			case "restart":
				disk.mu.Lock()
				disk.fail = 0
				disk.mu.Unlock()
				for r.journal.Err() != nil { // a failed disk comes back by itself
					time.Sleep(time.Millisecond)
				}
				r.stop()
				r = newRig(t, m, o)
				opened()
			}
		}
		disk.mu.Lock()
		disk.fail = 0
		disk.mu.Unlock()
		m.setFail(nil)
		for _, epoch := range epochs {
			m.await(rt, "everything arrives", func() bool { return len(m.got[epoch]) >= len(acked[epoch]) })
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, epoch := range epochs {
			for seq, s := range acked[epoch] {
				if m.got[epoch][seq].Hash != s.Hash {
					rt.Fatalf("acknowledged share %d is not there", seq)
				}
			}
			if len(m.got[epoch]) != len(acked[epoch]) {
				rt.Fatalf("%d shares arrived, %d acknowledged", len(m.got[epoch]), len(acked[epoch]))
			}
		}
	})
}
