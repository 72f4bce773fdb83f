package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// file is what a book asks of ledger.log.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// ErrLocked reports a directory that another process has open.
var ErrLocked = errors.New("ledger is in use by another process")

// lockDir takes the directory's lock; closing the file gives it back, and so does the end of the process.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the ledger: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// openFile opens or makes the file, and makes its name durable.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fsync the ledger's directory: %w", err), f.Close())
	}
	return f, nil
}

// errTorn reports a last line without its newline.
var errTorn = errors.New("torn last line")

// lineReader reads lines and their offsets.
type lineReader struct {
	r      *bufio.Reader
	offset int64
}

func newLineReader(r io.ReaderAt, offset int64) *lineReader {
	return &lineReader{bufio.NewReaderSize(io.NewSectionReader(r, offset, 1<<62), 1<<16), offset}
}

// next returns the next line without its newline and where it begins: nil at the end, errTorn with what
// there is when the newline is missing. The line is the caller's.
func (l *lineReader) next() (line []byte, offset int64, err error) {
	offset = l.offset
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, offset, fmt.Errorf("%w: line of more than %d bytes", ErrEntry, maxLine)
		case err == nil:
			l.offset += int64(len(line))
			return line[:len(line)-1], offset, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, offset, nil
		case errors.Is(err, io.EOF):
			return line, offset, errTorn
		default:
			return nil, offset, err
		}
	}
}
