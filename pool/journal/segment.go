package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

const (
	segmentSuffix = ".journal"
	markEvery     = 64 << 10 // bytes of a segment between two marks
	readChunk     = 2 * MaxBlock
)

// Damage says where a journal is not what was written.
type Damage struct {
	Path   string
	Offset int64
	Err    error
}

// Error names file and offset.
func (d *Damage) Error() string {
	return fmt.Sprintf("journal damaged: %s, offset %d: %v", d.Path, d.Offset, d.Err)
}

// Unwrap is the reason.
func (d *Damage) Unwrap() error { return d.Err }

// segment is one file of an epoch; only its first size bytes are ever served.
type segment struct {
	path  string
	first uint64 // as its name says
	last  uint64 // of its last good block, first - 1 when it has none
	size  int64  // of its good blocks
	marks []mark // some block starts, in order
}

type mark struct {
	first  uint64
	offset int64
}

func newSegment(dir string, first uint64) *segment {
	return &segment{path: fmt.Sprintf("%s/%020d%s", dir, first, segmentSuffix), first: first, last: first - 1}
}

// add takes the block that stands at offset size.
func (s *segment) add(b *Block) {
	if n := len(s.marks); n == 0 || s.size-s.marks[n-1].offset >= markEvery {
		s.marks = append(s.marks, mark{b.First, s.size})
	}
	s.last = b.Last()
	s.size += int64(len(b.Raw))
}

// seek returns the offset of a block at or before the one that holds seq.
func (s *segment) seek(seq uint64) int64 {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].first > seq })
	if i == 0 {
		return 0
	}
	return s.marks[i-1].offset
}

// errStop ends a walk early.
var errStop = errors.New("stop")

// walk reads the blocks of a file from offset on, up to limit (negative: the end of the file), and
// returns the offset behind the last good one. Bytes that are no block end it with an error that wraps
// ErrBadBlock; errors of fn are returned as they are. The block's Raw is valid during fn only.
func walk(f File, offset, limit int64, fn func(offset int64, b Block) error) (int64, error) {
	if limit < 0 {
		size, err := f.Size()
		if err != nil {
			return offset, err
		}
		limit = size
	}
	var buf []byte
	base := offset // of buf in the file
	for offset < limit {
		have := buf[offset-base:]
		need := minBlock
		if len(have) >= 4 {
			need = max(need, int(min(binary.LittleEndian.Uint32(have), MaxBlock)))
		}
		if len(have) < need && base+int64(len(buf)) < limit {
			next := make([]byte, min(limit-offset, readChunk))
			n, err := f.ReadAt(next, offset)
			if err != nil && !errors.Is(err, io.EOF) {
				return offset, fmt.Errorf("read at offset %d: %w", offset, err)
			}
			if n < len(next) {
				limit = offset + int64(n) // shorter than it said
			}
			buf, base = next[:n], offset
			continue
		}
		if len(have) >= 4 {
			need = int(binary.LittleEndian.Uint32(have))
		}
		if need == 0 || len(have) < 4 {
			if end, err := solid(f, offset); err != nil || end == offset {
				return offset, err // zeros that were written ahead
			}
		}
		if need < minBlock || need > MaxBlock || need > len(have) {
			return offset, fmt.Errorf("%w: length %d with %d bytes left", ErrBadBlock, uint32(need), limit-offset)
		}
		b, err := Parse(have[:need:need])
		if err != nil {
			return offset, err
		}
		if err := fn(offset, b); err != nil {
			return offset, err
		}
		offset += int64(need)
	}
	return offset, nil
}

// torn reports whether what follows end in a segment can be one interrupted write: short, and without
// a whole block of the epoch after its start.
func torn(f File, end int64, epoch uint64) (bool, error) {
	size, err := solid(f, end) // without the zeros that were written ahead
	if err != nil {
		return false, err
	}
	if size-end > MaxBlock {
		return false, nil
	}
	tail := make([]byte, size-end)
	if _, err := f.ReadAt(tail, end); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	le := binary.LittleEndian
	for o := 0; o+minBlock <= len(tail); o++ {
		n := int(le.Uint32(tail[o:]))
		if n < minBlock || n > len(tail)-o || le.Uint64(tail[o+offEpoch:]) != epoch {
			continue
		}
		if _, err := Parse(tail[o : o+n]); err == nil {
			return false, nil
		}
	}
	return true, nil
}

// openRead opens a file of the journal for reading.
func openRead(fs FS, path string) (File, error) { return fs.Open(path, os.O_RDONLY) }
