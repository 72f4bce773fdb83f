package journal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"sort"
	"strings"
	"sync"
)

var errCrashed = errors.New("the machine is off")

// memFS is a file system in memory that knows what would survive a power cut: content after Sync,
// names after SyncDir. Every change can be made to fail.
type memFS struct {
	mu       sync.Mutex
	names    map[string]*memInode // as a running process sees them; directories have nil
	durable  map[string]*memInode
	pending  []memName // changes of names since their directory was synced, in order
	locked   map[string]bool
	changes  int // writes, truncations, syncs, name changes so far
	crashAt  int // change that does not happen any more, 0 for none
	crashCut int // bytes of it that do, when it is a write
	dead     bool
	fault    func(op, name string) (short int, err error) // asked before each change
}

type memInode struct {
	data, durable []byte
	pending       []memWrite
}

type memWrite struct {
	truncate bool
	offset   int64
	data     []byte
}

type memName struct {
	dir string
	do  func(map[string]*memInode)
}

func newMemFS() *memFS {
	return &memFS{names: map[string]*memInode{}, durable: map[string]*memInode{}, locked: map[string]bool{}}
}

// change is called with mu held before every change.
func (m *memFS) change(op, name string) (short int, err error) {
	if m.dead {
		return 0, errCrashed
	}
	if m.changes++; m.changes == m.crashAt {
		m.dead = true
		return m.crashCut, errCrashed
	}
	if m.fault != nil {
		return m.fault(op, name)
	}
	return 0, nil
}

func (m *memFS) rename(dir string, do func(map[string]*memInode)) {
	do(m.names)
	m.pending = append(m.pending, memName{dir, do})
}

func (m *memFS) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.names[dir]; ok {
		return nil
	}
	if _, err := m.change("mkdir", dir); err != nil {
		return err
	}
	m.rename(path.Dir(dir), func(n map[string]*memInode) { n[dir] = nil })
	return nil
}

func (m *memFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for name := range m.names {
		if path.Dir(name) == dir && name != dir {
			list = append(list, path.Base(name))
		}
	}
	sort.Strings(list)
	return list, nil
}

func (m *memFS) Open(name string, flag int) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	inode, ok := m.names[name]
	if !ok {
		if flag&os.O_CREATE == 0 {
			return nil, fmt.Errorf("open %s: %w", name, iofs.ErrNotExist)
		}
		if _, err := m.change("create", name); err != nil {
			return nil, err
		}
		inode = &memInode{}
		m.rename(path.Dir(name), func(n map[string]*memInode) { n[name] = inode })
	}
	if flag&os.O_TRUNC != 0 && len(inode.data) > 0 {
		inode.write(memWrite{truncate: true})
	}
	return &memFile{m, inode, name}, nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.change("rename", to); err != nil {
		return err
	}
	m.rename(path.Dir(to), func(n map[string]*memInode) {
		if inode, ok := n[from]; ok {
			n[to] = inode
			delete(n, from)
		}
	})
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.names[name]; !ok {
		return fmt.Errorf("remove %s: %w", name, iofs.ErrNotExist)
	}
	for other := range m.names {
		if strings.HasPrefix(other, name+"/") {
			return fmt.Errorf("remove %s: directory not empty", name)
		}
	}
	if _, err := m.change("remove", name); err != nil {
		return err
	}
	m.rename(path.Dir(name), func(n map[string]*memInode) { delete(n, name) })
	return nil
}

func (m *memFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.change("syncdir", dir); err != nil {
		return err
	}
	rest := m.pending[:0]
	for _, p := range m.pending {
		if p.dir == dir {
			p.do(m.durable)
		} else {
			rest = append(rest, p)
		}
	}
	m.pending = rest
	return nil
}

func (m *memFS) Free(string) (int64, error) { return 1 << 40, nil }

func (m *memFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[name] {
		return nil, ErrLocked
	}
	m.locked[name] = true
	return closer(func() { m.mu.Lock(); delete(m.locked, name); m.mu.Unlock() }), nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

func (n *memInode) write(w memWrite) {
	n.data = w.apply(n.data)
	n.pending = append(n.pending, w)
}

func (w memWrite) apply(data []byte) []byte {
	if w.truncate {
		if int(w.offset) <= len(data) {
			return data[:w.offset:w.offset]
		}
		return append(data, make([]byte, int(w.offset)-len(data))...)
	}
	if end := int(w.offset) + len(w.data); end > len(data) {
		data = append(data[:len(data):len(data)], make([]byte, end-len(data))...)
	} else {
		data = append([]byte(nil), data...)
	}
	copy(data[w.offset:], w.data)
	return data
}

type memFile struct {
	fs    *memFS
	inode *memInode
	name  string
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.inode.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.inode.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.dead {
		return 0, errCrashed
	}
	short, err := f.fs.change("write", f.name)
	if err != nil {
		b = b[:min(short, len(b))]
	}
	if len(b) > 0 {
		f.inode.write(memWrite{offset: off, data: append([]byte(nil), b...)})
	}
	return len(b), err
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if _, err := f.fs.change("truncate", f.name); err != nil {
		return err
	}
	f.inode.write(memWrite{truncate: true, offset: size})
	return nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if _, err := f.fs.change("sync", f.name); err != nil {
		return err
	}
	f.inode.durable, f.inode.pending = f.inode.data, nil
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.inode.data)), nil
}

func (f *memFile) Close() error { return nil }

// afterCrash returns the file system as a new process finds it when the power failed now. pick(n)
// returns 0..n: how many of n unsynced changes of names, or of one file, survived; tear(n) how many
// bytes of the last surviving write of n did.
func (m *memFS) afterCrash(pick, tear func(n int) int) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	after := newMemFS()
	names := map[string]*memInode{}
	for k, v := range m.durable {
		names[k] = v
	}
	for _, p := range m.pending[:pick(len(m.pending))] {
		p.do(names)
	}
	copies := map[*memInode]*memInode{}
	order := make([]string, 0, len(names))
	for name := range names {
		order = append(order, name)
	}
	sort.Strings(order)
	for _, name := range order {
		inode := names[name]
		if inode == nil {
			after.names[name], after.durable[name] = nil, nil
			continue
		}
		c, ok := copies[inode]
		if !ok {
			data := inode.durable
			n := pick(len(inode.pending))
			for i, w := range inode.pending[:n] {
				if i == n-1 && !w.truncate {
					w.data = w.data[:tear(len(w.data))]
				}
				data = w.apply(data)
			}
			c = &memInode{data: data, durable: data}
			copies[inode] = c
		}
		after.names[name], after.durable[name] = c, c
	}
	return after
}
