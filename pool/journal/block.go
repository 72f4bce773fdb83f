package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/format"
)

// Sizes and limits of the format; see the package comment.
const (
	Version     = 1 + format.Raise // of what is written; all from 1 are read
	MaxBlock    = 1 << 20
	MaxRecords  = 8192
	headerSize  = 65 // up to the pool id
	entrySize   = 2  // of a dictionary entry before script and name
	recordSize  = 72
	maxPoolID   = 32
	maxScript   = 255
	maxWorker   = 63
	minBlock    = headerSize + 1 + entrySize + 1 + recordSize
	shareFlags  = pool.ShareEarly | pool.ShareBlock
	offLength   = 0
	offCRC      = 4
	offVersion  = 8
	offEntries  = 10
	offRecords  = 12
	offEpoch    = 16
	offFirst    = 24
	offPrev     = 32
	offPoolSize = 64
)

// ErrBadBlock is wrapped by every refusal of bytes that are not a block.
var ErrBadBlock = errors.New("not a journal block")

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Block is one group commit: Count records with sequences First..Last.
type Block struct {
	Pool  string
	Epoch uint64
	First uint64
	Count int
	Prev  [32]byte // hash of the block before it in its epoch, zero in the first
	Raw   []byte   // exact bytes on disk and in the stream
}

// Last is the sequence of the last record.
func (b *Block) Last() uint64 { return b.First + uint64(b.Count) - 1 }

// Hash is the SHA-256 of Raw: Prev of the next block.
func (b *Block) Hash() [32]byte { return sha256.Sum256(b.Raw) }

// Parse checks length, crc, version and head of raw, which must be one whole block, and leaves
// dictionary and records unread. Raw of the result is raw. The error wraps [ErrBadBlock].
func Parse(raw []byte) (Block, error) {
	if len(raw) < minBlock || len(raw) > MaxBlock {
		return Block{}, fmt.Errorf("%w: %d bytes", ErrBadBlock, len(raw))
	}
	le := binary.LittleEndian
	if n := le.Uint32(raw[offLength:]); uint64(n) != uint64(len(raw)) {
		return Block{}, fmt.Errorf("%w: length %d in %d bytes", ErrBadBlock, n, len(raw))
	}
	if got, want := castagnoli(raw[offVersion:]), le.Uint32(raw[offCRC:]); got != want {
		return Block{}, fmt.Errorf("%w: crc %08x, want %08x", ErrBadBlock, got, want)
	}
	if v := le.Uint16(raw[offVersion:]); v == 0 || v > Version {
		return Block{}, fmt.Errorf("%w: version %d, this program reads 1 to %d", ErrBadBlock, v, Version)
	}
	b := Block{Epoch: le.Uint64(raw[offEpoch:]), First: le.Uint64(raw[offFirst:]), Raw: raw}
	count, entries := le.Uint32(raw[offRecords:]), uint32(le.Uint16(raw[offEntries:]))
	if count == 0 || count > MaxRecords || entries == 0 || entries > count {
		return Block{}, fmt.Errorf("%w: %d records, %d dictionary entries", ErrBadBlock, count, entries)
	}
	b.Count = int(count)
	if b.Epoch == 0 || b.First == 0 || b.First > math.MaxUint64-uint64(count) {
		return Block{}, fmt.Errorf("%w: epoch %016x, first sequence %d", ErrBadBlock, b.Epoch, b.First)
	}
	copy(b.Prev[:], raw[offPrev:])
	if (b.First == 1) != (b.Prev == [32]byte{}) {
		return Block{}, fmt.Errorf("%w: first sequence %d with previous hash %x", ErrBadBlock, b.First, b.Prev)
	}
	p := int(raw[offPoolSize])
	if headerSize+p > len(raw) || !validPool(raw[headerSize:headerSize+p]) {
		return Block{}, fmt.Errorf("%w: pool id", ErrBadBlock)
	}
	b.Pool = string(raw[headerSize : headerSize+p])
	return b, nil
}

func validPool(id []byte) bool {
	if len(id) == 0 || len(id) > maxPoolID {
		return false
	}
	for _, c := range id {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

func validWorker[T string | []byte](name T) bool {
	if len(name) > maxWorker {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// check holds a share to what a record can say.
func check(s *pool.Share) error {
	switch {
	case len(s.Script) == 0 || len(s.Script) > maxScript:
		return fmt.Errorf("share with an output script of %d bytes", len(s.Script))
	case !validWorker(s.Worker):
		return fmt.Errorf("share with worker name %q", s.Worker)
	case s.Scheme == 0:
		return errors.New("share without a scheme")
	case s.Flags&^shareFlags != 0:
		return fmt.Errorf("share with flags %02x", s.Flags)
	case s.Credit.Cmp(s.Issued) > 0:
		return fmt.Errorf("share with credit %v above issued %v", s.Credit, s.Issued)
	case s.Flags&pool.ShareEarly != 0 && !s.Credit.IsZero():
		return fmt.Errorf("early share with credit %v", s.Credit)
	}
	return nil
}
