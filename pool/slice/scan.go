package slice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/adit-pool/adit/pool/journal"
)

// Place says where a slice lies.
type Place struct {
	File   string
	Offset int64
	Number uint64
	Hash   [32]byte
}

// String names slice, file and offset.
func (p Place) String() string {
	return fmt.Sprintf("slice %d in %s at offset %d", p.Number, p.File, p.Offset)
}

// Scan reads the closed slices in a directory, oldest first, and then the open one as it was
// checkpointed last. It locks nothing and changes nothing: a settler may be at work; a slice that is just
// being written is left out. The chain of hashes is checked; damage is a *Damage error.
func Scan(dir string, visit func(*Slice) error) error {
	number := uint64(1)
	_, err := ScanClosed(dir, func(_ Place, s *Slice) error {
		number = s.Number + 1
		return visit(s)
	})
	if err != nil {
		return err
	}
	return scanOpen(filepath.Join(dir, CheckpointName), number, visit)
}

// ScanClosed visits the closed slices and their places. end is the place behind the last one; what stands
// there is no whole record.
func ScanClosed(dir string, visit func(Place, *Slice) error) (end Place, err error) {
	names, err := journal.Disk{}.List(dir)
	if err != nil {
		return end, fmt.Errorf("list slices: %w", err)
	}
	end.Number = 1
	torn := false
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, Suffix) {
			continue
		}
		if torn {
			return end, &Damage{end.File, end.Offset, end.Number, fmt.Errorf("%w: cut off", ErrSlice)}
		}
		end.File, end.Offset = filepath.Join(dir, name), 0
		torn, err = scanFile(end.File, func(record []byte) error {
			s, err := Parse(record)
			if err == nil && (s.Number != end.Number || s.Prev != end.Hash) {
				err = fmt.Errorf("%w: hash chain is broken", ErrSlice)
			}
			if err != nil {
				return &Damage{end.File, end.Offset, end.Number, err}
			}
			end.Hash = Hash(record)
			if err := visit(end, s); err != nil {
				return err
			}
			end.Number++
			end.Offset += int64(len(record))
			return nil
		})
		if err != nil {
			return end, err
		}
	}
	return end, nil
}

// scanOpen visits the checkpoint if it is of the slice with the given number: not of one that has been
// closed since.
func scanOpen(path string, number uint64, visit func(*Slice) error) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the open slice: %w", err)
	}
	s, err := Parse(b)
	if err != nil {
		return &Damage{path, 0, number, err}
	}
	if s.Number != number {
		return nil
	}
	return visit(s)
}

// scanFile hands over each whole record of a file; torn says that something else stands behind the last.
func scanFile(path string, record func(b []byte) error) (torn bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("open slices: %w", err)
	}
	defer f.Close()
	var length [4]byte
	for offset := int64(0); ; {
		info, err := f.Stat()
		if err != nil {
			return false, fmt.Errorf("read slices: %w", err)
		}
		if offset == info.Size() {
			return false, nil
		}
		if _, err := f.ReadAt(length[:], offset); errors.Is(err, io.EOF) {
			return true, nil
		} else if err != nil {
			return false, fmt.Errorf("read slices: %w", err)
		}
		n := int64(binary.LittleEndian.Uint32(length[:]))
		if n < 4 || offset+n > info.Size() {
			return true, nil // being written, or torn: the settler will say
		}
		b := make([]byte, n)
		if _, err := f.ReadAt(b, offset); err != nil {
			return false, fmt.Errorf("read slices: %w", err)
		}
		if err := record(b); err != nil {
			return false, err
		}
		offset += n
	}
}
