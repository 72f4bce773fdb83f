package settle

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

// ScanSlices reads the closed slices in a directory, oldest first, and then the open one as it was
// checkpointed last. It locks nothing and changes nothing: a settler may be at work; a slice that is just
// being written is left out. The chain of hashes is checked; damage is a *Damage error.
func ScanSlices(dir string, visit func(*Slice) error) error {
	names, err := journal.Disk{}.List(dir)
	if err != nil {
		return fmt.Errorf("list slices: %w", err)
	}
	var head [32]byte
	number := uint64(1)
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, sliceSuffix) {
			continue
		}
		path := filepath.Join(dir, name)
		err := scanFile(path, func(offset int64, record []byte) error {
			s, err := ParseSlice(record)
			if err == nil && (s.Number != number || s.Prev != head) {
				err = fmt.Errorf("%w: hash chain is broken", ErrSlice)
			}
			if err != nil {
				return &Damage{path, offset, number, err}
			}
			head = sliceHash(record)
			number++
			return visit(s)
		})
		if err != nil {
			return err
		}
	}
	return scanOpen(filepath.Join(dir, checkpointName), number, visit)
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
	s, err := ParseSlice(b)
	if err != nil {
		return &Damage{path, 0, number, err}
	}
	if s.Number != number {
		return nil
	}
	return visit(s)
}

// scanFile hands over each whole record of a file.
func scanFile(path string, record func(offset int64, b []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open slices: %w", err)
	}
	defer f.Close()
	var length [4]byte
	for offset := int64(0); ; {
		if _, err := f.ReadAt(length[:], offset); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read slices: %w", err)
		}
		n := int64(binary.LittleEndian.Uint32(length[:]))
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("read slices: %w", err)
		}
		if n < 4 || offset+n > info.Size() {
			return nil // being written, or torn: the settler will say
		}
		b := make([]byte, n)
		if _, err := f.ReadAt(b, offset); err != nil {
			return fmt.Errorf("read slices: %w", err)
		}
		if err := record(offset, b); err != nil {
			return err
		}
		offset += n
	}
}
