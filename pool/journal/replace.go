package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxFile bounds what [ReadFile] reads.
const maxFile = 1 << 28

// ReplaceFile writes a small file whole: beside it, fsync, rename, fsync of the directory.
func ReplaceFile(fs FS, dir, name string, content []byte) error {
	final := filepath.Join(dir, name)
	f, err := fs.Open(final+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("write %s: %w", final, err)
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fs.Rename(final+".tmp", final)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", final, err)
	}
	return nil
}

// ReadFile reads a file whole; nil when there is none.
func ReadFile(fs FS, dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	f, err := fs.Open(path, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	size, err := f.Size()
	if err == nil && size > maxFile {
		err = fmt.Errorf("%d bytes", size)
	}
	var b []byte
	if err == nil {
		b = make([]byte, size)
		if _, err = f.ReadAt(b, 0); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}
