package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// Encoder builds blocks and keeps its tables between them. Not for concurrent use.
type Encoder struct {
	index   map[entryKey]uint16
	scripts [][]byte
	places  []uint16 // dictionary index of each record
}

type entryKey struct {
	account pool.AccountID
	worker  string
}

// Encode appends one block with the given shares to dst; their Seq fields are not looked at, the first
// gets sequence first. It fails on a share that no record can hold, on more than MaxRecords of them and
// on a block above MaxBlock bytes; dst is then returned as it was.
func Encode(dst []byte, poolID string, epoch, first uint64, prev [32]byte, shares []pool.Share) ([]byte, error) {
	return new(Encoder).Encode(dst, poolID, epoch, first, prev, shares)
}

// Encode is the function [Encode] without its allocations.
func (e *Encoder) Encode(dst []byte, poolID string, epoch, first uint64, prev [32]byte, shares []pool.Share) ([]byte, error) {
	if len(shares) == 0 || len(shares) > MaxRecords || epoch == 0 || first == 0 || !validPool([]byte(poolID)) {
		return dst, fmt.Errorf("encode journal block: pool %q, epoch %x, first sequence %d, %d shares", poolID, epoch, first, len(shares))
	}
	if e.index == nil {
		e.index = make(map[entryKey]uint16)
	}
	clear(e.index)
	e.scripts, e.places = e.scripts[:0], e.places[:0]
	start := len(dst)
	le := binary.LittleEndian
	var head [headerSize]byte
	le.PutUint16(head[offVersion:], Version)
	le.PutUint32(head[offRecords:], uint32(len(shares)))
	le.PutUint64(head[offEpoch:], epoch)
	le.PutUint64(head[offFirst:], first)
	copy(head[offPrev:], prev[:])
	head[offPoolSize] = byte(len(poolID))
	out := append(dst, head[:]...)
	out = append(out, poolID...)
	for i := range shares {
		s := &shares[i]
		if err := check(s); err != nil {
			return dst, fmt.Errorf("encode journal block: %w", err)
		}
		key := entryKey{s.Account, s.Worker}
		place, ok := e.index[key]
		if ok && !bytes.Equal(e.scripts[place], s.Script) {
			return dst, fmt.Errorf("encode journal block: account %v has two scripts, %x and %x", s.Account, e.scripts[place], s.Script)
		}
		if !ok {
			place = uint16(len(e.scripts))
			e.index[key] = place
			e.scripts = append(e.scripts, s.Script)
			out = append(out, byte(len(s.Script)), byte(len(s.Worker)))
			out = append(out, s.Script...)
			out = append(out, s.Worker...)
		}
		e.places = append(e.places, place)
	}
	for i := range shares {
		out = appendRecord(out, &shares[i], e.places[i])
	}
	raw := out[start:]
	if len(raw) > MaxBlock {
		return dst, fmt.Errorf("encode journal block: %d bytes, at most %d", len(raw), MaxBlock)
	}
	le.PutUint32(raw[offLength:], uint32(len(raw)))
	le.PutUint16(raw[offEntries:], uint16(len(e.scripts)))
	le.PutUint32(raw[offCRC:], castagnoli(raw[offVersion:]))
	return out, nil
}

func appendRecord(out []byte, s *pool.Share, place uint16) []byte {
	le := binary.LittleEndian
	out = le.AppendUint64(out, uint64(s.Time))
	out = le.AppendUint64(le.AppendUint64(out, s.Issued.Lo), s.Issued.Hi)
	out = le.AppendUint64(le.AppendUint64(out, s.Credit.Lo), s.Credit.Hi)
	out = append(out, s.Hash[:]...)
	out = le.AppendUint64(out, s.Job)
	out = le.AppendUint32(out, s.Bits)
	out = le.AppendUint16(out, place)
	return append(out, byte(s.Scheme), byte(s.Flags))
}

// room is the most that s can add to a block.
func room(s *pool.Share) int { return recordSize + entrySize + len(s.Script) + len(s.Worker) }
