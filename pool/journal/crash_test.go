package journal

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
)

// ghost is what a journal is held to: per epoch, the shares that were appended and how many of them are
// known to be durable.
type ghost struct {
	order    []uint64
	appended map[uint64]map[[16]byte]bool
	acked    map[uint64][]pool.Share
	released map[uint64]uint64
}

func newGhost() *ghost {
	return &ghost{appended: map[uint64]map[[16]byte]bool{}, acked: map[uint64][]pool.Share{}, released: map[uint64]uint64{}}
}

func (g *ghost) opened(j *Journal) {
	g.order = append(g.order, j.Epoch())
	g.appended[j.Epoch()] = map[[16]byte]bool{}
}

// check reads everything that j retains: acknowledged ⊆ read ⊆ appended, in order, none twice.
func (g *ghost) check(t fataler, j *Journal) {
	if err := j.Damage(); err != nil {
		t.Fatalf("damage: %v", err)
	}
	retained := map[uint64]EpochInfo{}
	for _, e := range j.Epochs() {
		retained[e.Epoch] = e
	}
	seen := map[[16]byte]bool{}
	for _, epoch := range g.order {
		acked := g.acked[epoch]
		info, ok := retained[epoch]
		if !ok {
			if n := len(acked); n > 0 && acked[n-1].Seq > g.released[epoch] {
				t.Fatalf("epoch %x is gone with share %d", epoch, acked[n-1].Seq)
			}
			continue
		}
		var got []pool.Share
		for after := uint64(0); ; {
			blocks, err := j.Read(epoch, after, 500)
			if err != nil {
				t.Fatalf("read: %v", err)
			}
			if len(blocks) == 0 {
				break
			}
			for _, b := range blocks {
				_, shares, err := Decode(b.Raw)
				if err != nil {
					t.Fatalf("decode: %v", err)
				}
				got, after = append(got, shares...), b.Last()
			}
		}
		if info.First > g.released[epoch]+1 {
			t.Fatalf("epoch %x retained from %d on, released through %d", epoch, info.First, g.released[epoch])
		}
		bySeq := map[uint64]pool.Share{}
		for i, s := range got {
			if s.Seq != info.First+uint64(i) || seen[s.Hash] || !g.appended[epoch][s.Hash] {
				t.Fatalf("epoch %x: share %d at place %d from %d: twice %v, appended %v", epoch, s.Seq, i, info.First, seen[s.Hash], g.appended[epoch][s.Hash])
			}
			seen[s.Hash] = true
			bySeq[s.Seq] = s
		}
		for _, s := range acked {
			if s.Seq >= info.First && !reflect.DeepEqual(bySeq[s.Seq], s) {
				t.Fatalf("epoch %x: acknowledged share %d is lost: %+v", epoch, s.Seq, bySeq[s.Seq])
			}
		}
	}
}

type fataler interface {
	Fatalf(format string, args ...any)
}

// TestCrashEverywhere cuts the power at every change that a run makes, and in every byte of every write,
// with all that was not synced lost, all kept, or only the names kept.
func TestCrashEverywhere(t *testing.T) {
	keep := func(n int) int { return n }
	lose := func(int) int { return 0 }
	// run plays one run on fs up to its crash: three epochs, several segments each, a release.
	run := func(fs *memFS, g *ghost) {
		n := 0
		for range 2 {
			j, err := Open(Options{Dir: "/j", Pool: testPool, FS: fs, SegmentBytes: 500, Retry: time.Hour})
			if err != nil {
				return
			}
			g.opened(j)
			for range 5 {
				s := share(n)
				n++
				g.appended[j.Epoch()][s.Hash] = true
				c := j.Append(&s)
				<-c.Done()
				if c.Err() == nil {
					g.acked[j.Epoch()] = append(g.acked[j.Epoch()], s)
				}
			}
			for _, e := range j.Epochs() {
				g.released[e.Epoch] = 3
				_ = j.Release(e.Epoch, 3)
			}
			j.Close(context.Background())
		}
	}
	whole := newMemFS()
	isWrite := []bool{false} // by number of the change
	whole.fault = func(op, _ string) (int, error) {
		isWrite = append(isWrite, op == "write")
		return 0, nil
	}
	run(whole, newGhost())
	total := whole.changes
	crashes := 0
	for at := 1; at <= total+1; at++ {
		for cut := 0; ; cut++ {
			for mode, how := range map[string][2]func(int) int{"lost": {lose, keep}, "kept": {keep, keep}} {
				fs, g := newMemFS(), newGhost()
				fs.crashAt, fs.crashCut = at, cut
				run(fs, g)
				after := fs.afterCrash(how[0], how[1])
				j, err := Open(Options{Dir: "/j", Pool: testPool, FS: after, Retry: time.Hour})
				if err != nil {
					t.Fatalf("crash at change %d, byte %d, unsynced %s: %v", at, cut, mode, err)
				}
				g.opened(j)
				where := prefixed{t, fmt.Sprintf("crash at change %d, byte %d, unsynced %s: ", at, cut, mode)}
				g.check(where, j)
				s := share(1000)
				if c := j.Append(&s); wait(t, c) != nil || s.Seq != 1 {
					where.Fatalf("append afterwards: %v, sequence %d", c.Err(), s.Seq)
				}
				if err := j.Close(context.Background()); err != nil {
					where.Fatalf("close: %v", err)
				}
				crashes++
			}
			if at > total || !isWrite[at] || cut > 600 { // no write here is longer
				break
			}
		}
	}
	t.Logf("%d crashes over %d changes", crashes, total)
}

type prefixed struct {
	t      *testing.T
	prefix string
}

func (p prefixed) Fatalf(format string, args ...any) { p.t.Fatalf(p.prefix+format, args...) }

// TestCrashRandom plays random histories: batches of any size, failing disks, crashes that keep any part
// of what was not synced, clean closes and releases.
func TestCrashRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs, g := newMemFS(), newGhost()
		n := 0
		open := func() *Journal {
			j, err := Open(Options{Dir: "/j", Pool: testPool, FS: fs, SegmentBytes: int64(rapid.IntRange(1, 3000).Draw(t, "segment")), Retry: time.Millisecond,
				busy: int64(rapid.SampledFrom([]int{1, 500, 1 << 20}).Draw(t, "busy"))})
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			g.opened(j)
			g.check(t, j)
			return j
		}
		j := open()
		defer func() { j.Close(context.Background()) }()
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "fault", "crash", "close", "release"}).Draw(t, "step") {
			case "append":
				commits := map[*pool.Commit][]pool.Share{}
				for range rapid.IntRange(1, 30).Draw(t, "shares") {
					s := share(n)
					n++
					g.appended[j.Epoch()][s.Hash] = true
					c := j.Append(&s)
					commits[c] = append(commits[c], s)
				}
				g.settle(t, j, commits)
			case "fault":
				after, faults := rapid.IntRange(0, 6).Draw(t, "after"), rapid.IntRange(1, 5).Draw(t, "faults")
				short := rapid.IntRange(0, 300).Draw(t, "short")
				fs.mu.Lock()
				fs.fault = func(string, string) (int, error) {
					if after--; after >= 0 || faults == 0 {
						return 0, nil
					}
					faults--
					return short, errors.New("input/output error")
				}
				fs.mu.Unlock()
			case "release":
				epoch := rapid.SampledFrom(g.order).Draw(t, "epoch")
				if acked := g.acked[epoch]; len(acked) > 0 {
					seq := rapid.SampledFrom(acked).Draw(t, "through").Seq
					g.released[epoch] = max(g.released[epoch], seq)
					_ = j.Release(epoch, seq) // may meet the fault; then less is deleted
				}
			case "crash":
				at := rapid.IntRange(1, 12).Draw(t, "at")
				fs.mu.Lock()
				fs.crashAt, fs.crashCut = fs.changes+at, rapid.IntRange(0, 300).Draw(t, "cut")
				fs.mu.Unlock()
				commits := map[*pool.Commit][]pool.Share{}
				for range rapid.IntRange(1, 10).Draw(t, "shares") {
					s := share(n)
					n++
					g.appended[j.Epoch()][s.Hash] = true
					c := j.Append(&s)
					commits[c] = append(commits[c], s)
					if rapid.Bool().Draw(t, "alone") {
						<-c.Done()
					}
				}
				g.settle(t, j, commits)
				part := func(n int) int { return rapid.IntRange(0, n).Draw(t, "survives") }
				after := fs.afterCrash(part, part)
				j.Close(context.Background())
				fs = after
				j = open()
			case "close":
				fs.mu.Lock()
				fs.fault = nil
				fs.mu.Unlock()
				if err := j.Close(context.Background()); err != nil && j.Err() == nil {
					t.Fatalf("close: %v", err)
				}
				j = open()
			}
		}
		fs.mu.Lock()
		fs.fault = nil
		fs.mu.Unlock()
		g.check(t, j)
	})
}

// settle waits for commits and notes what they acknowledge.
func (g *ghost) settle(t fataler, j *Journal, commits map[*pool.Commit][]pool.Share) {
	for c, shares := range commits {
		select {
		case <-c.Done():
		case <-time.After(time.Minute):
			t.Fatalf("commit has no fate")
		}
		if c.Err() == nil {
			g.acked[j.Epoch()] = append(g.acked[j.Epoch()], shares...)
		}
	}
	acked := g.acked[j.Epoch()]
	for i := 1; i < len(acked); i++ { // commits come out of the map in any order
		for k := i; k > 0 && acked[k-1].Seq > acked[k].Seq; k-- {
			acked[k-1], acked[k] = acked[k], acked[k-1]
		}
	}
}

// TestReadableIsNotDurable kills a process whose sync fails, and the power after the next start: what that
// start served must still be there.
func TestReadableIsNotDurable(t *testing.T) {
	fs := newMemFS()
	j := mustOpen(t, Options{Dir: "/j", FS: fs, Retry: time.Hour})
	epoch := j.Epoch()
	fs.mu.Lock()
	fs.fault = func(op, name string) (int, error) {
		if op == "sync" || op == "truncate" {
			return 0, errors.New("input/output error")
		}
		return 0, nil
	}
	fs.mu.Unlock()
	s := share(1)
	if err := wait(t, j.Append(&s)); err == nil {
		t.Fatal("acknowledged without a sync")
	}
	j.Close(context.Background())
	fs.mu.Lock()
	fs.fault = nil
	fs.mu.Unlock()
	j = mustOpen(t, Options{Dir: "/j", FS: fs})
	served := len(readAll(t, j, epoch, 0, 1<<20))
	fs = fs.afterCrash(func(int) int { return 0 }, func(n int) int { return n })
	j = mustOpen(t, Options{Dir: "/j", FS: fs})
	if err := j.Damage(); err != nil {
		t.Fatal(err)
	}
	if got := len(readAll(t, j, epoch, 0, 1<<20)); got != served || got != 1 {
		t.Fatalf("%d shares after the power cut, %d before", got, served)
	}
}

// TestReleaseFails makes the removal of a segment fail once: no later one may go before it.
func TestReleaseFails(t *testing.T) {
	for _, op := range []string{"remove", "syncdir"} {
		fs := newMemFS()
		j := mustOpen(t, Options{Dir: "/j", FS: fs, SegmentBytes: 1})
		for i := range 5 {
			s := share(i)
			if err := wait(t, j.Append(&s)); err != nil {
				t.Fatal(err)
			}
		}
		failed := false
		fs.mu.Lock()
		fs.fault = func(o, _ string) (int, error) {
			if o == op && !failed {
				failed = true
				return 0, errors.New("input/output error")
			}
			return 0, nil
		}
		fs.mu.Unlock()
		if err := j.Release(j.Epoch(), 1); err == nil {
			t.Fatal("failure not told")
		}
		if err := j.Release(j.Epoch(), 3); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, j, j.Epoch(), 0, 1<<20); len(got) != 2 || got[0].Seq != 4 {
			t.Fatalf("%s failed: %d shares from %d on", op, len(got), got[0].Seq)
		}
		epoch := j.Epoch()
		j.Close(context.Background())
		j = mustOpen(t, Options{Dir: "/j", FS: fs})
		if err := j.Damage(); err != nil {
			t.Fatalf("%s failed: %v", op, err)
		}
		if got := readAll(t, j, epoch, 0, 1<<20); len(got) != 2 {
			t.Fatalf("%s failed: reopened with %d shares", op, len(got))
		}
	}
}
