package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
)

const testPool = "main"

// share returns the n-th share of a fixed sequence over a few accounts and workers.
func share(n int) pool.Share {
	script := append([]byte{0, 20}, bytes.Repeat([]byte{byte(n % 3)}, 20)...)
	s := pool.Share{
		Time: 1_700_000_000_000 + int64(n), Account: pool.AccountOf(testPool, script), Script: script,
		Worker: fmt.Sprintf("rig%d", n%4), Scheme: pool.SchemePPLNS, Issued: pool.WorkOf(1000), Credit: pool.WorkOf(900),
		Bits: 0x1d00ffff, Job: uint64(n / 5),
	}
	copy(s.Hash[:], fmt.Sprintf("%016d", n))
	return s
}

var genShare = rapid.Custom(func(t *rapid.T) pool.Share {
	script := rapid.SliceOfN(rapid.Byte(), 1, maxScript).Draw(t, "script")
	s := pool.Share{
		Time: rapid.Int64().Draw(t, "time"), Account: pool.AccountOf(testPool, script), Script: script,
		Worker: rapid.StringMatching(`[A-Za-z0-9._-]{0,63}`).Draw(t, "worker"),
		Scheme: pool.SchemeID(rapid.IntRange(1, 255).Draw(t, "scheme")),
		Issued: pool.Work{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")},
		Bits:   rapid.Uint32().Draw(t, "bits"), Job: rapid.Uint64().Draw(t, "job"),
		Hash:  [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash")),
		Flags: pool.ShareFlags(rapid.IntRange(0, 3).Draw(t, "flags")),
	}
	if s.Flags&pool.ShareEarly == 0 {
		s.Credit = s.Issued.Min(pool.Work{Hi: rapid.Uint64().Draw(t, "credit")})
	}
	return s
})

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		distinct := rapid.SliceOfN(genShare, 1, 20).Draw(t, "shares")
		var shares []pool.Share
		first := rapid.Uint64Range(1, 1<<63).Draw(t, "first")
		for i, k := range rapid.SliceOfN(rapid.IntRange(0, len(distinct)-1), 1, 60).Draw(t, "picks") {
			s := distinct[k]
			s.Seq, s.Job = first+uint64(i), uint64(i)
			shares = append(shares, s)
		}
		var prev [32]byte
		if first > 1 {
			prev[3] = 1
		}
		epoch := rapid.Uint64Min(1).Draw(t, "epoch")
		raw, err := Encode(nil, testPool, epoch, first, prev, shares)
		if err != nil {
			t.Fatal(err)
		}
		b, got, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := Block{Pool: testPool, Epoch: epoch, First: first, Count: len(shares), Prev: prev, Raw: raw}
		if !reflect.DeepEqual(b, want) || b.Last() != first+uint64(len(shares))-1 {
			t.Fatalf("block %+v, want %+v", b, want)
		}
		if !reflect.DeepEqual(got, shares) {
			t.Fatalf("shares\n%+v\nwant\n%+v", got, shares)
		}
		flip := rapid.IntRange(0, len(raw)*8-1).Draw(t, "bit")
		raw[flip/8] ^= 1 << (flip % 8)
		if _, _, err := Decode(raw); !errors.Is(err, ErrBadBlock) {
			t.Fatalf("bit %d flipped: error %v", flip, err)
		}
	})
}

// TestLayout holds the bytes of testdata/block.hex, which is written from the package comment by hand,
// line by line.
func TestLayout(t *testing.T) {
	text, err := os.ReadFile("testdata/block.hex")
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for _, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
	}
	want, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	prev := [32]byte{}
	for i := range prev {
		prev[i] = byte(i)
	}
	a := pool.Share{
		Time: 0x0102030405060708, Script: []byte{0x51}, Account: pool.AccountOf("x", []byte{0x51}), Worker: "w-1", Scheme: pool.SchemePPLNS,
		Issued: pool.Work{Hi: 0x11, Lo: 0x22}, Credit: pool.Work{Hi: 0x11, Lo: 0x21}, Bits: 0x1d00ffff, Job: 7,
	}
	for i := range a.Hash {
		a.Hash[i] = byte(0xf0 + i)
	}
	b := a
	b.Worker, b.Flags, b.Credit, b.Scheme = "", pool.ShareEarly, pool.Work{}, pool.SchemeSOLO
	c := a
	c.Flags = pool.ShareBlock
	got, err := Encode(nil, "x", 0x8877665544332211, 9, prev, []pool.Share{a, b, c})
	if err != nil {
		t.Fatal(err)
	}
	copy(want[4:8], got[4:8]) // the crc is checked against its own definition below
	if !bytes.Equal(got, want) {
		t.Fatalf("encoded\n%x\nwant\n%x", got, want)
	}
	if sum := castagnoli([]byte("123456789")); sum != 0xe3069283 { // RFC 3720 B.4's polynomial, catalogue check value
		t.Fatalf("crc32c of 123456789 is %08x", sum)
	}
	if sum := castagnoli(got[8:]); !bytes.Equal(got[4:8], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)}) {
		t.Fatalf("crc %x, want %08x", got[4:8], sum)
	}
}

func TestEncodeRefuses(t *testing.T) {
	f := func(name string, change func(*pool.Share)) {
		t.Helper()
		s := share(1)
		change(&s)
		dst := []byte("kept")
		if out, err := Encode(dst, testPool, 1, 1, [32]byte{}, []pool.Share{share(0), s}); err == nil || string(out) != "kept" {
			t.Errorf("%s: encoded, %d bytes, error %v", name, len(out), err)
		}
	}
	f("no script", func(s *pool.Share) { s.Script = nil })
	f("long script", func(s *pool.Share) { s.Script = make([]byte, 256) })
	f("bad name", func(s *pool.Share) { s.Worker = "a b" })
	f("long name", func(s *pool.Share) { s.Worker = strings.Repeat("a", 64) })
	f("no scheme", func(s *pool.Share) { s.Scheme = 0 })
	f("unknown flag", func(s *pool.Share) { s.Flags = 4 })
	f("credit above issued", func(s *pool.Share) { s.Credit = pool.WorkOf(1001) })
	f("credit of an early share", func(s *pool.Share) { s.Flags = pool.ShareEarly })
	f("two scripts of an account", func(s *pool.Share) { s.Account, s.Worker = share(0).Account, share(0).Worker })
}

// TestDecoderAllocates holds the fold's path: no allocation for miners it has seen.
func TestDecoderAllocates(t *testing.T) {
	var shares []pool.Share
	for i := range 500 {
		shares = append(shares, share(i))
	}
	raw, err := Encode(nil, testPool, 1, 1, [32]byte{}, shares)
	if err != nil {
		t.Fatal(err)
	}
	var d Decoder
	var dst []pool.Share
	n := testing.AllocsPerRun(10, func() {
		if _, dst, err = d.DecodeAppend(dst[:0], raw); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 { // the pool id
		t.Fatalf("%v allocations a block", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{1, 3, 40} {
		var shares []pool.Share
		for i := range n {
			shares = append(shares, share(i))
		}
		raw, _ := Encode(nil, testPool, 77, 1, [32]byte{}, shares)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= 8 { // let the fuzzer past length and crc
			raw = bytes.Clone(raw)
			copy(raw, []byte{byte(len(raw)), byte(len(raw) >> 8), byte(len(raw) >> 16), byte(len(raw) >> 24)})
			sum := castagnoli(raw[8:])
			copy(raw[4:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		}
		b, shares, err := Decode(raw)
		if err != nil {
			if !errors.Is(err, ErrBadBlock) || shares != nil {
				t.Fatalf("error %v with %d shares", err, len(shares))
			}
			return
		}
		again, err := Encode(nil, b.Pool, b.Epoch, b.First, b.Prev, shares)
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		c, shares2, err := Decode(again)
		if err != nil || !reflect.DeepEqual(shares, shares2) || c.First != b.First || c.Epoch != b.Epoch || c.Prev != b.Prev {
			t.Fatalf("second round differs: %v", err)
		}
	})
}
