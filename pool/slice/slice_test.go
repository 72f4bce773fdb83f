package slice

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
)

const testBits = 0x1d00ffff

func block(name string) pool.Hash { return pool.Hash(sha256.Sum256([]byte(name))) }

func fullSlice(number uint64, prev [32]byte) *Slice {
	a, b := pool.AccountID{1}, pool.AccountID{2}
	return &Slice{
		Slice: pool.Slice{Number: number, Score: pool.Work{Hi: 1, Lo: 7}, Weight: []pool.Weight{
			{Account: a, Score: pool.WorkOf(7)}, {Account: b, Score: pool.Work{Hi: 1}}}},
		Prev: prev, Reason: ReasonBlock, Block: block("b"), First: 5, Newest: 9, Shares: 4, Early: 1, Solo: 1,
		Work: pool.WorkOf(100), SoloWork: pool.WorkOf(3),
		Ranges:  []Range{{StreamID{"a", 7}, 1, 4, [32]byte{9}}, {StreamID{"b", 2}, 3, 4, [32]byte{}}},
		Extras:  []Extra{{7, 9, a, pool.WorkOf(2), testBits, [16]byte{1}}},
		Scripts: []Script{{a, []byte{0x51}}, {b, []byte{0x52, 1}}},
	}
}

func TestMerkleSum(t *testing.T) {
	a, b, c := pool.AccountID{1}, pool.AccountID{2}, pool.AccountID{3}
	leaf := func(id pool.AccountID, score byte) []byte {
		h := sha256.Sum256(append(append([]byte{0}, id[:]...), append([]byte{score}, make([]byte, 15)...)...))
		return h[:]
	}
	node := func(l, r []byte, sum byte) []byte {
		h := sha256.Sum256(append(append(append([]byte{1}, l...), r...), append([]byte{sum}, make([]byte, 15)...)...))
		return h[:]
	}
	root, sum, err := MerkleSum([]pool.Weight{{Account: a, Score: pool.WorkOf(3)}, {Account: b, Score: pool.WorkOf(4)}, {Account: c, Score: pool.WorkOf(5)}})
	want := node(node(leaf(a, 3), leaf(b, 4), 7), leaf(c, 5), 12)
	if err != nil || sum != pool.WorkOf(12) || !bytes.Equal(root[:], want) {
		t.Errorf("root %x, sum %s, %v; want %x", root, sum, err, want)
	}
	if root, sum, err := MerkleSum(nil); err != nil || root != [32]byte{} || !sum.IsZero() {
		t.Errorf("nothing: %x, %s, %v", root, sum, err)
	}
	huge := pool.Weight{Score: pool.Work{Hi: 1 << 63}}
	if _, _, err := MerkleSum([]pool.Weight{huge, huge}); !errors.Is(err, pool.ErrOverflow) {
		t.Errorf("sum above 128 bits: %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	record, err := fullSlice(3, [32]byte{8}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(record)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.AppendBinary(nil)
	if err != nil || !bytes.Equal(again, record) {
		t.Errorf("%v\n%x\n%x", err, record, again)
	}
	for i := range record {
		bad := slices.Clone(record)
		bad[i] ^= 4
		if _, err := Parse(bad); !errors.Is(err, ErrSlice) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	// The format is final: this hash changes only with Version.
	hash := Hash(record)
	if got := hex.EncodeToString(hash[:8]); got != "237ba2b8a7787284" {
		t.Errorf("record hashes to %s", got)
	}
	wrong := fullSlice(3, [32]byte{})
	wrong.Score = pool.WorkOf(1)
	if _, err := wrong.AppendBinary(nil); err == nil {
		t.Error("a score that is not the sum was written")
	}
}

// frame puts length and crc before a body.
func frame(body []byte) []byte {
	out := append(make([]byte, frameSize), body...)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	binary.LittleEndian.PutUint32(out[4:], crc32.Checksum(body, castagnoli))
	return out
}

func FuzzParse(f *testing.F) {
	record, err := fullSlice(3, [32]byte{8}).AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record[frameSize:])
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		record := frame(body)
		s, err := Parse(record)
		if err != nil {
			return
		}
		again, err := s.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, record) {
			t.Fatalf("accepted bytes are written back otherwise: %v\n%x\n%x", err, record, again)
		}
	})
}

// Damage behind what is relied upon is cut and said; elsewhere it is an error that names the place.
func TestLogDamage(t *testing.T) {
	dir := t.TempDir()
	none := func(*Slice) error { return nil }
	open := func(durable uint64) (*Log, error) {
		return OpenLog(journal.Disk{}, dir, durable, zerolog.Nop(), none)
	}
	f, err := open(0)
	if err != nil {
		t.Fatal(err)
	}
	f.segment = 900 // two slices a file
	var ends []int64
	for n := uint64(1); n <= 5; n++ {
		s := fullSlice(n, f.head)
		s.Block = block(string(rune('a' + n)))
		if err := f.Append(s); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, f.size)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+Suffix))
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	if f, err = open(5); err != nil || f.Last() != 5 {
		t.Fatal(err)
	}
	f.cache = map[uint64]*pool.Slice{}
	for n := uint64(1); n <= 5; n++ {
		if s, err := f.Slice(n); err != nil || s.Number != n {
			t.Errorf("slice %d from disk: %v", n, err)
		}
	}
	f.Close()

	whole, err := os.ReadFile(names[1])
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(whole)
	bad[len(bad)-3] ^= 1 // in slice 4
	if err := os.WriteFile(names[1], bad, 0o600); err != nil {
		t.Fatal(err)
	}
	var damage *Damage
	if _, err := open(4); !errors.As(err, &damage) || damage.Number != 4 || damage.File != names[1] || damage.Offset != ends[2] {
		t.Errorf("damage that is relied upon: %v", err)
	}
	f, err = open(3)
	if err != nil || f.Last() != 3 {
		t.Fatalf("damage that is not: %v", err)
	}
	s := fullSlice(4, f.head)
	if err := errors.Join(f.Append(s), f.Close()); err != nil {
		t.Fatal(err)
	}
	if f, err = open(4); err != nil || f.Last() != 4 {
		t.Fatalf("after the cut: %v", err)
	}
	f.Close()
	if _, err := open(5); err == nil {
		t.Error("slices that the ledger knows are missing, and nobody said so")
	}
}
