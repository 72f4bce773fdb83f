package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// maxInterned bounds the scripts and names a Decoder remembers: some 50 MB of them. Below the number of
// accounts at work it would forget and hash all the time.
const maxInterned = 1 << 18

// Decoder reads blocks and remembers scripts, account ids and worker names between them, so that a long
// run over blocks of the same miners allocates nothing. Not for concurrent use.
type Decoder struct {
	pool    string
	owners  map[string]owner // by script
	names   map[string]string
	entries []entry
}

type owner struct {
	account pool.AccountID
	script  []byte
}

type entry struct {
	owner
	worker string
}

// Decode reads one whole block strictly: every byte is accounted for. The error wraps [ErrBadBlock].
// The shares do not alias raw; Raw of the block does.
func Decode(raw []byte) (Block, []pool.Share, error) {
	return new(Decoder).DecodeAppend(nil, raw)
}

// DecodeAppend is [Decode] that appends the shares to dst. On an error dst is returned as it was.
func (d *Decoder) DecodeAppend(dst []pool.Share, raw []byte) (Block, []pool.Share, error) {
	b, err := Parse(raw)
	if err != nil {
		return Block{}, dst, err
	}
	le := binary.LittleEndian
	rest := raw[headerSize+len(b.Pool):]
	rest, err = d.dictionary(b.Pool, rest, int(le.Uint16(raw[offEntries:])))
	if err != nil {
		return Block{}, dst, err
	}
	if len(rest) != b.Count*recordSize {
		return Block{}, dst, fmt.Errorf("%w: %d bytes for %d records", ErrBadBlock, len(rest), b.Count)
	}
	out, used := dst, 0
	for i := 0; i < b.Count; i++ {
		r := rest[i*recordSize : (i+1)*recordSize]
		place := int(le.Uint16(r[68:]))
		if place > used || place >= len(d.entries) {
			return Block{}, dst, fmt.Errorf("%w: record %d names dictionary entry %d out of turn", ErrBadBlock, i, place)
		}
		if place == used {
			used++
		}
		e := &d.entries[place]
		out = append(out, pool.Share{
			Seq:     b.First + uint64(i),
			Time:    int64(le.Uint64(r)),
			Account: e.account,
			Script:  e.script,
			Worker:  e.worker,
			Scheme:  pool.SchemeID(r[70]),
			Issued:  pool.WorkFromBytes(r[8:]),
			Credit:  pool.WorkFromBytes(r[24:]),
			Bits:    le.Uint32(r[64:]),
			Job:     le.Uint64(r[56:]),
			Hash:    [16]byte(r[40:56]),
			Flags:   pool.ShareFlags(r[71]),
		})
		if err := check(&out[len(out)-1]); err != nil {
			return Block{}, dst, fmt.Errorf("%w: record %d: %w", ErrBadBlock, i, err)
		}
	}
	if used != len(d.entries) {
		return Block{}, dst, fmt.Errorf("%w: %d of %d dictionary entries are used", ErrBadBlock, used, len(d.entries))
	}
	return b, out, nil
}

// dictionary reads n entries into d.entries and returns what follows them.
func (d *Decoder) dictionary(poolID string, rest []byte, n int) ([]byte, error) {
	if d.owners == nil || d.pool != poolID || len(d.owners)+len(d.names) > maxInterned {
		d.pool, d.owners, d.names = poolID, make(map[string]owner), make(map[string]string)
	}
	d.entries = d.entries[:0]
	for i := 0; i < n; i++ {
		if len(rest) < entrySize {
			return nil, fmt.Errorf("%w: dictionary ends in entry %d", ErrBadBlock, i)
		}
		s, w := int(rest[0]), int(rest[1])
		if rest = rest[entrySize:]; s == 0 || len(rest) < s+w || !validWorker(rest[s:s+w]) {
			return nil, fmt.Errorf("%w: dictionary entry %d: script of %d bytes, name of %d", ErrBadBlock, i, s, w)
		}
		d.entries = append(d.entries, entry{d.owner(rest[:s]), d.name(rest[s : s+w])})
		rest = rest[s+w:]
	}
	return rest, nil
}

func (d *Decoder) owner(script []byte) owner {
	o, ok := d.owners[string(script)]
	if !ok {
		o = owner{pool.AccountOf(d.pool, script), append([]byte(nil), script...)}
		d.owners[string(script)] = o
	}
	return o
}

func (d *Decoder) name(b []byte) string {
	s, ok := d.names[string(b)]
	if !ok {
		s = string(b)
		d.names[s] = s
	}
	return s
}
