package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/adit-pool/adit/pool"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL_TEST_HOLD"); dir != "" { // the other process of TestLocked
		j, err := Open(Options{Dir: dir, Pool: testPool})
		fmt.Println("open", err)
		if err == nil {
			os.Stdin.Read(make([]byte, 1))
			j.Close(context.Background())
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func mustOpen(t testing.TB, o Options) *Journal {
	t.Helper()
	if o.Pool == "" {
		o.Pool = testPool
	}
	if o.Retry == 0 {
		o.Retry = time.Millisecond
	}
	j, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close(context.Background()) })
	return j
}

// wait returns a commit's fate.
func wait(t testing.TB, c *pool.Commit) error {
	t.Helper()
	select {
	case <-c.Done():
		return c.Err()
	case <-time.After(time.Minute):
		t.Fatal("commit has no fate")
		return nil
	}
}

// appendAll appends shares from..to-1 and waits for them.
func appendAll(t testing.TB, j *Journal, from, to int) {
	t.Helper()
	var last *pool.Commit
	for i := from; i < to; i++ {
		s := share(i)
		last = j.Append(&s)
		if i%7 == 0 || i == to-1 {
			if err := wait(t, last); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// readAll returns all retained shares of an epoch after a sequence, and checks that they are whole.
func readAll(t testing.TB, j *Journal, epoch, after uint64, maxBytes int) []pool.Share {
	t.Helper()
	var all []pool.Share
	for {
		blocks, err := j.Read(epoch, after, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		if len(blocks) == 0 {
			return all
		}
		for i := range blocks {
			b, shares, err := Decode(blocks[i].Raw)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(b, blocks[i]) || b.Last() <= after {
				t.Fatalf("block %d..%d after %d", b.First, b.Last(), after)
			}
			if len(all) > 0 && b.First != after+1 {
				t.Fatalf("block starts at %d after %d", b.First, after)
			}
			all, after = append(all, shares...), b.Last()
		}
	}
}

func TestAppendReadRelease(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Options{Dir: dir, SegmentBytes: 4096})
	changed := j.Changed()
	appendAll(t, j, 0, 500)
	select {
	case <-changed:
	default:
		t.Fatal("nobody was told of the durable shares")
	}
	if j.Durable() != 500 {
		t.Fatalf("durable %d", j.Durable())
	}
	for _, after := range []uint64{0, 1, 99, 250, 499} {
		for _, maxBytes := range []int{1, 1000, 1 << 20} {
			got := readAll(t, j, j.Epoch(), after, maxBytes)
			if n := len(got); got[n-1].Seq != 500 || got[0].Seq > after+1 || got[0].Seq+7 < after+1 {
				t.Fatalf("after %d: shares %d..%d", after, got[0].Seq, got[n-1].Seq)
			}
			for i := range got {
				want := share(int(got[i].Seq) - 1)
				want.Seq = got[i].Seq
				if !reflect.DeepEqual(got[i], want) {
					t.Fatalf("share %+v, want %+v", got[i], want)
				}
			}
		}
	}
	if err := j.Release(j.Epoch(), 300); err != nil {
		t.Fatal(err)
	}
	info := j.Epochs()[0]
	if info.First <= 200 || info.First > 301 || info.Last != 500 || !info.Current {
		t.Fatalf("after release of 300: %+v", info)
	}
	if got := readAll(t, j, j.Epoch(), 0, 1<<20); got[0].Seq != info.First || len(got) != int(501-info.First) {
		t.Fatalf("%d shares from %d on", len(got), got[0].Seq)
	}
	old := j.Epoch()
	if err := j.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := share(0)
	if err := wait(t, j.Append(&s)); !errors.Is(err, ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}

	j = mustOpen(t, Options{Dir: dir})
	if err := j.Damage(); err != nil {
		t.Fatal(err)
	}
	if j.Epoch() == old || len(j.Epochs()) != 2 {
		t.Fatalf("epochs %+v", j.Epochs())
	}
	appendAll(t, j, 0, 10)
	if err := j.Release(old, 500); err != nil {
		t.Fatal(err)
	}
	if e := j.Epochs(); len(e) != 1 || e[0].Epoch != j.Epoch() {
		t.Fatalf("released epoch is still there: %+v", e)
	}
	if _, err := j.Read(old, 0, 1); !errors.Is(err, ErrNoEpoch) {
		t.Fatalf("read of a released epoch: %v", err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 { // lock, current epoch
		t.Fatalf("left in the directory: %v", entries)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TEST_HOLD="+dir)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	line := make([]byte, 64)
	n, _ := out.Read(line)
	if got := string(line[:n]); got != "open <nil>\n" {
		t.Fatalf("other process says %q", got)
	}
	_, err := Open(Options{Dir: dir, Pool: testPool})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", cmd.Process.Pid)) {
		t.Fatalf("error %v, want pid %d", err, cmd.Process.Pid)
	}
}

func TestOtherPool(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Options{Dir: dir})
	appendAll(t, j, 0, 1)
	j.Close(context.Background())
	if _, err := Open(Options{Dir: dir, Pool: "other"}); err == nil || !strings.Contains(err.Error(), `belongs to pool "main"`) {
		t.Fatalf("error %v", err)
	}
	mustOpen(t, Options{Dir: dir}) // the refusal gave the lock back
}

// TestFaults makes every kind of change fail for a while: nothing acknowledged is lost, what fails says
// why, and the journal comes back by itself.
func TestFaults(t *testing.T) {
	f := func(op string, short int) {
		t.Run(fmt.Sprintf("%s short %d", op, short), func(t *testing.T) {
			fs := newMemFS()
			j := mustOpen(t, Options{Dir: "/j", FS: fs, SegmentBytes: 600})
			var acked []pool.Share
			full := errors.New("no space left on device")
			for round := range 4 {
				for i := range 5 {
					s := share(round*100 + i)
					if err := wait(t, j.Append(&s)); err != nil {
						t.Fatal(err)
					}
					acked = append(acked, s)
				}
				asked := make(chan struct{}, 1)
				fs.mu.Lock()
				fs.fault = func(o, _ string) (int, error) {
					if o == op {
						select {
						case asked <- struct{}{}:
						default:
						}
						return short, full
					}
					return 0, nil
				}
				fs.mu.Unlock()
				for i := 0; ; i++ { // a creation happens only at the next segment
					s := share(round*100 + 50 + i)
					err := wait(t, j.Append(&s))
					if err == nil {
						acked = append(acked, s)
						continue
					}
					if !errors.Is(err, full) {
						t.Fatalf("fate %v", err)
					}
					break
				}
				<-asked
				if op != "truncate" && j.Err() != nil && !errors.Is(j.Err(), full) {
					t.Fatalf("journal says %v", j.Err())
				}
				fs.mu.Lock()
				fs.fault = nil
				fs.mu.Unlock()
				deadline := time.Now().Add(time.Minute)
				for j.Err() != nil {
					if time.Now().After(deadline) {
						t.Fatal("journal does not recover")
					}
					time.Sleep(time.Millisecond)
				}
			}
			if got := readAll(t, j, j.Epoch(), 0, 1<<20); !reflect.DeepEqual(got, acked) {
				t.Fatalf("%d shares, %d acknowledged", len(got), len(acked))
			}
			epoch := j.Epoch()
			if err := j.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			j = mustOpen(t, Options{Dir: "/j", FS: fs})
			if err := j.Damage(); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, j, epoch, 0, 1<<20); !reflect.DeepEqual(got, acked) {
				t.Fatalf("reopened: %d shares, %d acknowledged", len(got), len(acked))
			}
		})
	}
	f("write", 0)
	f("write", 1)
	f("write", 80)
	f("sync", 0)
	f("create", 0)
	f("syncdir", 0)
}

// TestBehind fills the queue behind a disk that hangs.
func TestBehind(t *testing.T) {
	fs := newMemFS()
	j := mustOpen(t, Options{Dir: "/j", FS: fs})
	fs.mu.Lock() // the disk hangs
	var commits []*pool.Commit
	refused := false
	for i := 0; i < (maxQueued+2)*MaxRecords && !refused; i++ {
		s := share(i)
		c := j.Append(&s)
		select {
		case <-c.Done():
			refused = errors.Is(c.Err(), ErrBehind)
		default:
			if len(commits) == 0 || commits[len(commits)-1] != c {
				commits = append(commits, c)
			}
		}
	}
	fs.mu.Unlock()
	if !refused || len(commits) > maxQueued+1 {
		t.Fatalf("refused %v with %d batches queued", refused, len(commits))
	}
	for _, c := range commits {
		if err := wait(t, c); err != nil {
			t.Fatal(err)
		}
	}
	s := share(0)
	if err := wait(t, j.Append(&s)); err != nil || s.Seq != j.Durable() {
		t.Fatalf("afterwards: %v", err)
	}
}

// damaged writes two runs of a journal into dir and returns the segment files of the first. Each share is a
// block of its own, so both runs have the same segments however slow the machine is.
func damaged(t *testing.T) (dir string, files []string) {
	dir = t.TempDir()
	for range 2 {
		j := mustOpen(t, Options{Dir: dir, SegmentBytes: 3000})
		for i := range 100 {
			appendAll(t, j, i, i+1)
		}
		if err := j.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	files, _ = filepath.Glob(dir + "/00000001-*/*" + segmentSuffix)
	if len(files) < 3 {
		t.Fatalf("segments %v", files)
	}
	return dir, files
}

// TestDamage changes what earlier runs left: each change is named with its file, what comes before it is
// served, and the journal opens.
func TestDamage(t *testing.T) {
	f := func(name string, wantFile int, change func(t *testing.T, files []string)) {
		t.Run(name, func(t *testing.T) {
			dir, files := damaged(t)
			change(t, files)
			scanned := 0
			err := Scan(dir, func(b Block, s []pool.Share) error { scanned += len(s); return nil })
			var scan *Damage
			if !errors.As(err, &scan) || scan.Path != files[wantFile] {
				t.Fatalf("scan says %v, want %s", err, files[wantFile])
			}
			j := mustOpen(t, Options{Dir: dir})
			var d *Damage
			if !errors.As(j.Damage(), &d) || d.Path != files[wantFile] || d.Offset != scan.Offset {
				t.Fatalf("damage %v, want %s", j.Damage(), files[wantFile])
			}
			info := j.Epochs()[0]
			if info.Damage == nil || scanned != int(info.Last-info.First+1)+100 {
				t.Fatalf("%+v, %d scanned", info, scanned)
			}
			got := readAll(t, j, info.Epoch, 0, 1<<20)
			if len(got) != int(info.Last-info.First+1) {
				t.Fatalf("%d shares of %+v", len(got), info)
			}
			if err := j.Release(info.Epoch, 100); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(files[wantFile]); err != nil {
				t.Fatalf("release deleted what is not forwarded: %v", err)
			}
			if e := j.Epochs(); e[0].Epoch != info.Epoch {
				t.Fatal("release forgot a damaged epoch")
			}
			if err := j.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
	}
	flip := func(file, at int) func(*testing.T, []string) {
		return func(t *testing.T, files []string) {
			raw, err := os.ReadFile(files[file])
			if err != nil {
				t.Fatal(err)
			}
			if at < 0 {
				at += len(raw)
			}
			raw[at] ^= 0x10
			os.WriteFile(files[file], raw, 0o640)
		}
	}
	last := func(files []string) string { return files[len(files)-1] }
	_, sample := damaged(t)
	n := len(sample)
	f("bit in a record", 1, flip(1, 900))
	f("bit in a length", 1, flip(1, 2))
	f("bit in the first block", 0, flip(0, 70))
	f("bit in the last block", n-1, flip(n-1, -1))
	f("last block cut", n-1, func(t *testing.T, files []string) {
		info, _ := os.Stat(last(files))
		os.Truncate(last(files), info.Size()-5)
	})
	f("bytes added", n-1, func(t *testing.T, files []string) {
		raw, _ := os.ReadFile(last(files))
		os.WriteFile(last(files), append(raw, 0, 1), 0o640)
	})
	f("last segment gone", n-2, func(t *testing.T, files []string) { os.Remove(last(files)) })
	f("segment gone", 2, func(t *testing.T, files []string) { os.Remove(files[1]) })
	f("segment of another run", 1, func(t *testing.T, files []string) {
		other, _ := filepath.Glob(filepath.Dir(filepath.Dir(files[1])) + "/00000002-*/" + filepath.Base(files[1]))
		raw, err := os.ReadFile(other[0])
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(files[1], raw, 0o640)
	})
}

// TestRestored puts a damaged file back: the damage is gone and everything is served.
func TestRestored(t *testing.T) {
	dir, files := damaged(t)
	raw, _ := os.ReadFile(files[1])
	os.WriteFile(files[1], bytes.Repeat([]byte{1}, len(raw)), 0o640)
	j := mustOpen(t, Options{Dir: dir})
	if j.Damage() == nil {
		t.Fatal("damage not seen")
	}
	j.Close(context.Background())
	os.WriteFile(files[1], raw, 0o640)
	j = mustOpen(t, Options{Dir: dir})
	if err := j.Damage(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, j, j.Epochs()[0].Epoch, 0, 1<<20); len(got) != 100 {
		t.Fatalf("%d shares", len(got))
	}
}

// TestScanWhileWriting reads a journal that is in use.
func TestScanWhileWriting(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Options{Dir: dir, SegmentBytes: 2000})
	appendAll(t, j, 0, 50)
	var seqs []uint64
	if err := Scan(dir, func(b Block, shares []pool.Share) error {
		for _, s := range shares {
			seqs = append(seqs, s.Seq)
		}
		return nil
	}); err != nil || len(seqs) != 50 || seqs[49] != 50 {
		t.Fatalf("%d shares, %v", len(seqs), err)
	}
	stop := errors.New("enough")
	if err := Scan(dir, func(Block, []pool.Share) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
}

// TestFileLimit meets a real refusal of the kernel: a file that may not grow (EFBIG).
func TestFileLimit(t *testing.T) {
	if os.Getenv("JOURNAL_TEST_LIMIT") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFileLimit$", "-test.v")
		cmd.Env = append(os.Environ(), "JOURNAL_TEST_LIMIT=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	j := mustOpen(t, Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	appendAll(t, j, 0, 10)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64 << 10, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	acked := 10
	for {
		s := share(acked)
		err := wait(t, j.Append(&s))
		if err != nil {
			if !errors.Is(err, unix.EFBIG) {
				t.Fatal(err)
			}
			break
		}
		acked++
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); j.Err() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("journal does not recover")
		}
	}
	appendAll(t, j, acked, acked+10)
	if got := readAll(t, j, j.Epoch(), 0, 1<<20); len(got) != acked+10 {
		t.Fatalf("%d shares, %d acknowledged", len(got), acked+10)
	}
}
