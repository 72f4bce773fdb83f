package journal

import (
	"bytes"
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// inZeros appends shares until some lie in a segment that was made ready, and returns its file.
func inZeros(t *testing.T, j *Journal, dir string) (file string, acked []pool.Share) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		s := share(len(acked))
		if err := wait(t, j.Append(&s)); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, s)
		files, _ := filepath.Glob(dir + "/00000001-*/*" + segmentSuffix)
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err == nil && len(raw) > 500 && raw[len(raw)-1] == 0 && !bytes.Equal(raw[:8], make([]byte, 8)) &&
				bytes.Equal(raw[len(raw)-200:], make([]byte, 200)) {
				return name, acked
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no segment was made ready")
		}
	}
}

// TestAhead kills a journal whose active segment ends in zeros: all that was acknowledged is there, and what an
// interrupted write left in the zeros is cut off.
func TestAhead(t *testing.T) {
	for name, torn := range map[string]func(block []byte) []byte{
		"whole":     func([]byte) []byte { return nil },
		"begin":     func(b []byte) []byte { return b[:len(b)/2] },
		"end":       func(b []byte) []byte { return append(make([]byte, len(b)/2), b[len(b)/2:]...) },
		"one byte":  func([]byte) []byte { return []byte{0, 0, 0, 0, 9} },
		"no length": func(b []byte) []byte { return append(make([]byte, 4), b[4:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, copied := t.TempDir(), t.TempDir()
			j := mustOpen(t, Options{Dir: dir, SegmentBytes: 40_000, busy: 1})
			file, acked := inZeros(t, j, dir)
			epoch := j.Epoch()
			// what a killed process leaves
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := j.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			left, err := os.OpenFile(filepath.Join(copied, filepath.Base(filepath.Dir(file)), filepath.Base(file)), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			var size int64
			if _, err := walk(diskFile{left}, 0, -1, func(at int64, b Block) error { size = at + int64(len(b.Raw)); return nil }); err != nil {
				t.Fatal(err)
			}
			next, err := Encode(nil, testPool, epoch, 1<<40, [32]byte{1}, []pool.Share{share(1)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := left.WriteAt(torn(next), size); err != nil {
				t.Fatal(err)
			}
			if err := left.Close(); err != nil {
				t.Fatal(err)
			}

			scanned := 0
			if err := Scan(copied, func(_ Block, s []pool.Share) error { scanned += len(s); return nil }); err != nil || scanned != len(acked) {
				t.Fatalf("scan finds %d shares of %d, %v", scanned, len(acked), err)
			}
			again := mustOpen(t, Options{Dir: copied})
			if err := again.Damage(); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, again, epoch, 0, 1<<20); !reflect.DeepEqual(got, acked) {
				t.Fatalf("%d shares, %d acknowledged", len(got), len(acked))
			}
			for _, d := range []string{dir, copied} { // closed, and opened again: no zeros are left
				name := filepath.Join(d, filepath.Base(filepath.Dir(file)), filepath.Base(file))
				if info, err := os.Stat(name); err != nil || info.Size() != size {
					t.Errorf("%s has %d bytes, %v, want %d", name, info.Size(), err, size)
				}
				if _, err := os.Stat(filepath.Join(filepath.Dir(name), aheadFile)); !errors.Is(err, iofs.ErrNotExist) {
					t.Errorf("%s is left in %s: %v", aheadFile, d, err)
				}
			}
		})
	}
}

// fullDisk has room for nothing more.
type fullDisk struct{ Disk }

func (fullDisk) Free(string) (int64, error) { return 3 * 40_000, nil }

// TestAheadNeedsRoom takes no room from a disk that is nearly full.
func TestAheadNeedsRoom(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Options{Dir: dir, SegmentBytes: 40_000, busy: 1, FS: fullDisk{}})
	appendAll(t, j, 0, 50)
	if err := j.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if j.ahead != nil {
		t.Fatal("a segment is still being made ready")
	}
	files, _ := filepath.Glob(dir + "/*/*")
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 30_000 || filepath.Base(f) == aheadFile {
			t.Errorf("%s has %d bytes, %v", f, info.Size(), err)
		}
	}
}
