package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FS is what the journal asks of a file system. [Disk] is the real one; tests put one with faults in
// its place.
type FS interface {
	MkdirAll(dir string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// Open opens a file with os flags.
	Open(name string, flag int) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Free is how many bytes may still be written below a directory.
	Free(dir string) (int64, error)
	// Lock takes a file for this process alone until the result is closed.
	Lock(name string) (io.Closer, error)
}

// File is an open file of an [FS].
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	// Sync makes content and size durable.
	Sync() error
	Size() (int64, error)
	Close() error
}

// ErrLocked reports that another process holds the directory.
var ErrLocked = errors.New("journal is in use by another process")

// Disk is the operating system's file system.
type Disk struct{}

// MkdirAll implements [FS].
func (Disk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o750) }

// List implements [FS].
func (Disk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Open implements [FS].
func (Disk) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o640)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Rename implements [FS].
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [FS].
func (Disk) Remove(name string) error { return os.Remove(name) }

// SyncDir implements [FS].
func (Disk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Free implements [FS].
func (Disk) Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("ask for room below %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Lock implements [FS] with flock and writes the pid into the file.
func (Disk) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		pid := make([]byte, 16)
		n, _ := f.ReadAt(pid, 0)
		return nil, fmt.Errorf("%w: %s is locked by pid %s", ErrLocked, name, strings.TrimSpace(string(pid[:n])))
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

type diskFile struct{ *os.File }

func (f diskFile) Sync() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// writeFile replaces a small file whole: temporary file, sync, rename, sync of the directory.
func writeFile(fs FS, dir, name string, content []byte) error {
	tmp, final := dir+"/"+name+".tmp", dir+"/"+name
	f, err := fs.Open(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(tmp, final); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

// readFile reads a small file whole.
func readFile(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > MaxBlock {
		return nil, fmt.Errorf("%s has %d bytes", name, size)
	}
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}
