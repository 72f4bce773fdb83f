package slice

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/format"
)

// Reason says why a slice was closed.
type Reason uint8

// The reasons. Only a checkpoint holds an open slice.
const (
	ReasonOpen Reason = iota
	ReasonFull
	ReasonBlock
)

// Range is a stretch of one stream: sequences From..To-1.
type Range struct {
	StreamID
	From, To uint64
	Link     [32]byte // hash of the last journal block that ends before To, zero when there is none
}

// Extra is a share that a slice counts out of its stream's turn: it found the block that closed it.
type Extra struct {
	Epoch, Seq uint64 // Seq 0: it was not journalled
	Account    pool.AccountID
	Credit     pool.Work
	Bits       uint32
	Hash       [16]byte
}

// Script is an account's output script.
type Script struct {
	Account pool.AccountID
	Script  []byte
}

// Slice is a stretch of the order, as kept on disk; see the package comment.
type Slice struct {
	pool.Slice
	Prev, Root [32]byte
	Reason     Reason
	Block      pool.Hash // that closed it
	First      int64     // Unix milliseconds of the earliest share
	Newest     int64     // and of the latest
	Shares     uint64    // all, early and solo ones among them
	Early      uint64
	Solo       uint64
	Work       pool.Work // issued, without solo
	SoloWork   pool.Work
	Ranges     []Range
	Extras     []Extra
	Scripts    []Script
}

// ErrSlice is wrapped by every refusal of bytes that are not a slice.
var ErrSlice = errors.New("not a slice")

const (
	Version    = 1 + format.Raise // of what is written; all from 1 are read
	frameSize  = 8                // length and crc
	fixedSize  = frameSize + 2 + 8 + 32 + 32 + 16 + 24 + 32 + 16 + 32
	rootOffset = fixedSize - 32 // of the root in a record
	maxSlice   = 1 << 28
	weightSize = 20 + 16
	extraSize  = 8 + 8 + 20 + 16 + 4 + 16
	maxScript  = 255
	maxEdge    = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendBinary appends the record of s. Root is computed, not taken from s.
func (s *Slice) AppendBinary(dst []byte) ([]byte, error) {
	le := binary.LittleEndian
	start := len(dst)
	out := append(dst, make([]byte, frameSize)...)
	out = append(out, Version, byte(s.Reason))
	out = le.AppendUint64(out, s.Number)
	out = append(out, s.Prev[:]...)
	out = append(out, s.Block[:]...)
	for _, v := range []uint64{uint64(s.First), uint64(s.Newest), s.Shares, s.Early, s.Solo} {
		out = le.AppendUint64(out, v)
	}
	for _, w := range []pool.Work{s.Work, s.SoloWork, s.Score} {
		out = appendWork(out, w)
	}
	root, sum, err := MerkleSum(s.Weight)
	if err != nil {
		return dst, fmt.Errorf("write slice %d: %w", s.Number, err)
	}
	if sum != s.Score {
		return dst, fmt.Errorf("write slice %d: scores add up to %s, not %s", s.Number, sum, s.Score)
	}
	out = append(out, root[:]...)
	out = le.AppendUint32(out, uint32(len(s.Ranges)))
	for i := range s.Ranges {
		r := &s.Ranges[i]
		if len(r.Edge) > maxEdge {
			return dst, fmt.Errorf("write slice %d: edge name of %d bytes", s.Number, len(r.Edge))
		}
		out = append(append(out, byte(len(r.Edge))), r.Edge...)
		out = le.AppendUint64(out, r.Epoch)
		out = le.AppendUint64(le.AppendUint64(out, r.From), r.To)
		out = append(out, r.Link[:]...)
	}
	out = le.AppendUint32(out, uint32(len(s.Extras)))
	for i := range s.Extras {
		x := &s.Extras[i]
		out = le.AppendUint64(le.AppendUint64(out, x.Epoch), x.Seq)
		out = append(out, x.Account[:]...)
		out = le.AppendUint32(appendWork(out, x.Credit), x.Bits)
		out = append(out, x.Hash[:]...)
	}
	out = le.AppendUint32(out, uint32(len(s.Weight)))
	for i := range s.Weight {
		out = append(out, s.Weight[i].Account[:]...)
		out = appendWork(out, s.Weight[i].Score)
	}
	out = le.AppendUint32(out, uint32(len(s.Scripts)))
	for i := range s.Scripts {
		x := &s.Scripts[i]
		if len(x.Script) == 0 || len(x.Script) > maxScript {
			return dst, fmt.Errorf("write slice %d: script of %d bytes", s.Number, len(x.Script))
		}
		out = append(out, x.Account[:]...)
		out = le.AppendUint16(out, uint16(len(x.Script)))
		out = append(out, x.Script...)
	}
	if len(out)-start > maxSlice {
		return dst, fmt.Errorf("write slice %d: %d bytes", s.Number, len(out)-start)
	}
	le.PutUint32(out[start:], uint32(len(out)-start))
	le.PutUint32(out[start+4:], crc32.Checksum(out[start+frameSize:], castagnoli))
	return out, nil
}

func appendWork(dst []byte, w pool.Work) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, w.Lo)
	return binary.LittleEndian.AppendUint64(dst, w.Hi)
}

// Hash is the chained hash of a record.
func Hash(record []byte) [32]byte { return sha256.Sum256(record[frameSize:]) }

// Parse reads one whole record strictly: length, crc, order, sums and root. The error wraps
// [ErrSlice].
func Parse(record []byte) (*Slice, error) {
	le := binary.LittleEndian
	if len(record) < fixedSize || len(record) > maxSlice || uint64(le.Uint32(record)) != uint64(len(record)) {
		return nil, fmt.Errorf("%w: %d bytes", ErrSlice, len(record))
	}
	if got, want := crc32.Checksum(record[frameSize:], castagnoli), le.Uint32(record[4:]); got != want {
		return nil, fmt.Errorf("%w: crc %08x, want %08x", ErrSlice, got, want)
	}
	p := &parser{b: record[frameSize:]}
	if v := p.take(1)[0]; v == 0 || v > Version {
		return nil, fmt.Errorf("%w: version %d, this program reads 1 to %d", ErrSlice, v, Version)
	}
	s := &Slice{Reason: Reason(p.take(1)[0])}
	s.Number = p.u64()
	copy(s.Prev[:], p.take(32))
	copy(s.Block[:], p.take(32))
	s.First, s.Newest = int64(p.u64()), int64(p.u64())
	s.Shares, s.Early, s.Solo = p.u64(), p.u64(), p.u64()
	s.Work, s.SoloWork, s.Score = p.work(), p.work(), p.work()
	copy(s.Root[:], p.take(32))
	p.ranges(s)
	p.extras(s)
	p.weights(s)
	p.scripts(s)
	switch {
	case p.bad != "":
		return nil, fmt.Errorf("%w: %s", ErrSlice, p.bad)
	case len(p.b) != 0:
		return nil, fmt.Errorf("%w: %d bytes too many", ErrSlice, len(p.b))
	case s.Reason > ReasonBlock || s.Number == 0 || (s.Reason == ReasonBlock) == s.Block.IsZero():
		return nil, fmt.Errorf("%w: number %d closed for reason %d by block %s", ErrSlice, s.Number, s.Reason, s.Block)
	}
	root, sum, err := MerkleSum(s.Weight)
	if err != nil || root != s.Root || sum != s.Score {
		return nil, fmt.Errorf("%w: weights do not give score and root", ErrSlice)
	}
	return s, nil
}

// parser takes a record apart; after the first lack of bytes it gives zeros and says so in bad.
type parser struct {
	b   []byte
	bad string
}

var zeros [64]byte

func (p *parser) take(n int) []byte {
	if n > len(p.b) {
		p.bad, p.b = "ends too early", nil
		return zeros[:min(n, len(zeros))]
	}
	out := p.b[:n]
	p.b = p.b[n:]
	return out
}

func (p *parser) u64() uint64     { return binary.LittleEndian.Uint64(p.take(8)) }
func (p *parser) work() pool.Work { return pool.WorkFromBytes(p.take(16)) }

// count reads a list's length; size is the least that one element takes.
func (p *parser) count(size int) int {
	n := int(binary.LittleEndian.Uint32(p.take(4)))
	if n > len(p.b)/size {
		p.bad, p.b = "list is longer than the record", nil
		return 0
	}
	return n
}

func (p *parser) ranges(s *Slice) {
	n := p.count(1 + 24 + 32)
	for i := 0; i < n && p.bad == ""; i++ {
		var r Range
		size := int(p.take(1)[0])
		if size > len(p.b) {
			p.bad = "edge name ends too early"
			return
		}
		r.Edge = string(p.take(size))
		r.Epoch, r.From, r.To = p.u64(), p.u64(), p.u64()
		copy(r.Link[:], p.take(32))
		if r.From == 0 || r.From >= r.To || i > 0 && Compare(s.Ranges[i-1].StreamID, r.StreamID) >= 0 {
			p.bad = "ranges out of order"
		}
		s.Ranges = append(s.Ranges, r)
	}
}

func (p *parser) extras(s *Slice) {
	n := p.count(extraSize)
	for i := 0; i < n && p.bad == ""; i++ {
		x := Extra{Epoch: p.u64(), Seq: p.u64()}
		copy(x.Account[:], p.take(20))
		x.Credit = p.work()
		x.Bits = binary.LittleEndian.Uint32(p.take(4))
		copy(x.Hash[:], p.take(16))
		s.Extras = append(s.Extras, x)
	}
}

func (p *parser) weights(s *Slice) {
	n := p.count(weightSize)
	s.Weight = make([]pool.Weight, 0, n)
	for i := 0; i < n && p.bad == ""; i++ {
		var w pool.Weight
		copy(w.Account[:], p.take(20))
		w.Score = p.work()
		if w.Score.IsZero() || i > 0 && bytes.Compare(s.Weight[i-1].Account[:], w.Account[:]) >= 0 {
			p.bad = "weights out of order"
		}
		s.Weight = append(s.Weight, w)
	}
}

func (p *parser) scripts(s *Slice) {
	n := p.count(20 + 2 + 1)
	for i := 0; i < n && p.bad == ""; i++ {
		var x Script
		copy(x.Account[:], p.take(20))
		size := int(binary.LittleEndian.Uint16(p.take(2)))
		if size == 0 || size > maxScript || size > len(p.b) {
			p.bad = "script of a wrong length"
			return
		}
		x.Script = bytes.Clone(p.take(size))
		if i > 0 && bytes.Compare(s.Scripts[i-1].Account[:], x.Account[:]) >= 0 {
			p.bad = "scripts out of order"
		}
		s.Scripts = append(s.Scripts, x)
	}
}
