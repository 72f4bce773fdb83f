package keeper

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/ledger"
)

// FileInfo is one file beside the ledger, by its name within the pool's directory.
type FileInfo struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	// Sum is the SHA-256 of the content; empty for closed files of slices before the last and for allocation
	// files, which are never written again.
	Sum []byte `json:"sum,omitempty"`
}

// Part is a stretch of a file. A file of slices is written in place, another one replaced whole when its last
// part has come.
type Part struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Data   []byte `json:"data"`
	Last   bool   `json:"last"` // the file ends here, and is made durable
	Gone   bool   `json:"gone"` // the file, one of slices, is removed instead
}

const partBytes = 1 << 20

// copied are the names that go from disk to disk.
var copied = regexp.MustCompile(`^(slices/([0-9]{20}\.slices|open|scan)|allocations/[0-9a-f]{64}\.json|heads/[0-9TZ]{1,32}\.json|secret|head\.key)$`)

func isSlices(name string) bool { return strings.HasSuffix(name, ".slices") }

func isSecret(name string) bool { return name == SecretFile || name == HeadKeyFile }

// listFiles lists what of a pool's directory is copied.
func listFiles(root string) ([]FileInfo, error) {
	var out []FileInfo
	for _, dir := range []string{SlicesDir, AllocationsDir, HeadsDir, ""} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list files to copy: %w", err)
		}
		for _, e := range entries {
			name := filepath.ToSlash(filepath.Join(dir, e.Name()))
			if !copied.MatchString(name) {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, iofs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("list files to copy: %w", err)
			}
			out = append(out, FileInfo{Name: name, Size: info.Size()})
		}
	}
	slices.SortFunc(out, func(a, b FileInfo) int { return cmp.Compare(a.Name, b.Name) })
	for i := range out {
		last := i+1 == len(out) || !isSlices(out[i+1].Name)
		if isSlices(out[i].Name) && !last || strings.HasPrefix(out[i].Name, AllocationsDir+"/") {
			continue
		}
		sum, err := sumFile(filepath.Join(root, out[i].Name), out[i].Size)
		if err != nil {
			return nil, err
		}
		out[i].Sum = sum
	}
	return out, nil
}

// sumFile is the SHA-256 of a file's first bytes.
func sumFile(path string, size int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sum %s: %w", path, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, size); err != nil {
		return nil, fmt.Errorf("sum %s: %w", path, err)
	}
	return h.Sum(nil), nil
}

// putFile takes a part into a pool's directory.
func putFile(root string, p Part) error {
	if !copied.MatchString(p.Name) || p.Offset < 0 {
		return fmt.Errorf("no file %.100q is copied", p.Name)
	}
	path := filepath.Join(root, filepath.FromSlash(p.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	disk := journal.Disk{}
	if p.Gone {
		if !isSlices(p.Name) {
			return fmt.Errorf("%s is never removed", p.Name)
		}
		return errors.Join(disk.Remove(path), disk.SyncDir(filepath.Dir(path)))
	}
	write := path
	if !isSlices(p.Name) {
		write += ".part"
	}
	mode := os.FileMode(0o640)
	if isSecret(p.Name) {
		mode = 0o600
	}
	f, err := os.OpenFile(write, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return fmt.Errorf("take %s: %w", p.Name, err)
	}
	err = place(f, p)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("take %s: %w", p.Name, err)
	}
	if !p.Last {
		return nil
	}
	if write != path {
		if err := disk.Rename(write, path); err != nil {
			return fmt.Errorf("take %s: %w", p.Name, err)
		}
	}
	if err := disk.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("take %s: %w", p.Name, err)
	}
	return nil
}

func place(f *os.File, p Part) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case p.Offset > info.Size():
		return fmt.Errorf("a part at %d, the file ends at %d", p.Offset, info.Size())
	}
	if _, err := f.WriteAt(p.Data, p.Offset); err != nil {
		return err
	}
	if !p.Last {
		return nil
	}
	return errors.Join(f.Truncate(p.Offset+int64(len(p.Data))), f.Sync())
}

// keepSecret refuses another secret than the one that is here, unless nothing was ever made with it.
func keepSecret(root string, p Part, head ledger.Head) error {
	if !isSecret(p.Name) || head.Seq == 0 {
		return nil
	}
	have, err := os.ReadFile(filepath.Join(root, p.Name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", p.Name, err)
	}
	if p.Offset != 0 || !p.Last || !bytes.Equal(have, p.Data) {
		return fmt.Errorf("%w: %s", ErrSecret, p.Name)
	}
	return nil
}

// tracker is the disk, and notes what was written on it and is not on the other one yet.
type tracker struct {
	journal.Disk
	root string // static

	mu    sync.Mutex       // guards below
	on    bool             // nothing is noted while the other disk is away: it gets all anew
	dirty map[string]int64 // name → first offset that changed
}

// wrote notes a change.
func (t *tracker) wrote(path string, from int64) {
	name, err := filepath.Rel(t.root, path)
	if err != nil {
		return
	}
	name = filepath.ToSlash(name)
	if !copied.MatchString(name) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return
	}
	if at, there := t.dirty[name]; !there || from < at {
		t.dirty[name] = from
	}
}

// begin notes from now on, and forgets what was noted.
func (t *tracker) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.dirty = true, make(map[string]int64)
}

// end notes nothing any more.
func (t *tracker) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on, t.dirty = false, nil
}

// take hands over what was noted, slices first.
func (t *tracker) take() (names []string, from map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from = t.dirty
	if t.on {
		t.dirty = make(map[string]int64)
	}
	for name := range from {
		names = append(names, name)
	}
	slices.SortFunc(names, slicesFirst)
	return names, from
}

// slicesFirst orders files of slices before all that speaks of them.
func slicesFirst(a, b string) int {
	if isSlices(a) != isSlices(b) {
		if isSlices(a) {
			return -1
		}
		return 1
	}
	return cmp.Compare(a, b)
}

// Open implements [journal.FS].
func (t *tracker) Open(name string, flag int) (journal.File, error) {
	f, err := t.Disk.Open(name, flag)
	if err != nil {
		return nil, err
	}
	if flag&os.O_TRUNC != 0 {
		t.wrote(name, 0)
	}
	return trackedFile{f, t, name}, nil
}

// Rename implements [journal.FS].
func (t *tracker) Rename(from, to string) error {
	if err := t.Disk.Rename(from, to); err != nil {
		return err
	}
	t.wrote(to, 0)
	return nil
}

type trackedFile struct {
	journal.File
	t    *tracker
	name string
}

func (f trackedFile) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(b, at)
	f.t.wrote(f.name, at)
	return n, err
}

func (f trackedFile) Truncate(size int64) error {
	err := f.File.Truncate(size)
	f.t.wrote(f.name, size)
	return err
}

// send copies a file to a peer from an offset on.
func send(ctx context.Context, peer Peer, by Leader, root, name string, from int64) error {
	f, err := os.Open(filepath.Join(root, filepath.FromSlash(name)))
	if errors.Is(err, os.ErrNotExist) {
		return nil // replaced or cut meanwhile: then that was noted too
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	defer f.Close()
	if !isSlices(name) {
		from = 0
	}
	buf := make([]byte, partBytes)
	for {
		n, err := f.ReadAt(buf, from)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		if err := peer.Put(ctx, by, Part{Name: name, Offset: from, Data: buf[:n], Last: last}); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		if last {
			return nil
		}
		from += int64(n)
	}
}

// syncFiles makes the peer's files, of which it has those in there, what this disk's are.
func syncFiles(ctx context.Context, peer Peer, by Leader, root string, there []FileInfo) error {
	here, err := listFiles(root)
	if err != nil {
		return err
	}
	have := make(map[string]FileInfo, len(there))
	for _, f := range there {
		have[f.Name] = f
	}
	slices.SortFunc(here, func(a, b FileInfo) int { return slicesFirst(a.Name, b.Name) })
	for _, f := range here {
		from, same := int64(0), false
		if p, ok := have[f.Name]; ok {
			if from, same, err = common(root, f, p); err != nil {
				return err
			}
		}
		delete(have, f.Name)
		if same {
			continue
		}
		if err := send(ctx, peer, by, root, f.Name, from); err != nil {
			return err
		}
	}
	for name := range have { // slices of a history that went another way
		if isSlices(name) {
			if err := peer.Put(ctx, by, Part{Name: name, Gone: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// common says up to where a file there is what it is here.
func common(root string, here, there FileInfo) (from int64, same bool, err error) {
	switch {
	case len(there.Sum) == 0: // sealed there
		return 0, here.Size == there.Size, nil
	case there.Size > here.Size:
		return 0, false, nil
	}
	sum, err := sumFile(filepath.Join(root, here.Name), there.Size)
	if err != nil {
		return 0, false, err
	}
	if !bytes.Equal(sum, there.Sum) {
		return 0, false, nil
	}
	return there.Size, here.Size == there.Size, nil
}
