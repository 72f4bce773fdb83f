package pool

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBitsVectors(t *testing.T) {
	all := loadVectors(t)
	diff1, err := ParseTarget(all.Diff1["sha256d"])
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all.NbitsToTarget {
		got, err := TargetFromBits(hex32(t, v.Nbits))
		if err != nil || got.String() != v.Target {
			t.Errorf("%s: %s, %v; want %s", v.Nbits, got, err, v.Target)
		}
		if d := float64(DifficultyOf(diff1, got)); !near(d, v.Difficulty) {
			t.Errorf("%s: difficulty %v, want %v", v.Nbits, d, v.Difficulty)
		}
	}
}

// bigBits is the compact form as its description has it: mantissa * 256^(exponent - 3).
func bigBits(nbits uint32) *big.Int {
	v := big.NewInt(int64(nbits & 0x7fffff))
	if e := int(nbits >> 24); e > 3 {
		v.Lsh(v, uint(8*(e-3)))
	} else {
		v.Rsh(v, uint(8*(3-e)))
	}
	return v
}

func TestBitsAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nbits := rapid.Uint32Range(0, 0x24ffffff).Draw(t, "nbits")
		want := bigBits(nbits)
		bad := nbits&0x800000 != 0 || want.Sign() == 0 || want.BitLen() > 256
		got, err := TargetFromBits(nbits)
		if (err != nil) != bad {
			t.Fatalf("%08x: %v, want an error: %v", nbits, err, bad)
		}
		if err == nil && got.Big().Cmp(want) != 0 {
			t.Fatalf("%08x: %s, want %x", nbits, got, want)
		}
	})
	for _, bad := range []uint32{0, 0x1d000000, 0x1d80ffff, 0x01003456, 0xff123456, 0x22010000, 0x23000100, 0x24000001} {
		if got, err := TargetFromBits(bad); err == nil {
			t.Errorf("%08x is read as %s", bad, got)
		}
	}
}

// random256 is a number whose bit length is even, so that small ones are tried too.
func random256(t *rapid.T, name string) *big.Int {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, name), 1))
	v := new(big.Int)
	for range 4 {
		v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(r.Uint64()))
	}
	return v.Rsh(v, rapid.UintRange(0, 256).Draw(t, name+" shift"))
}

func TestMeetsAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := random256(t, "hash"), random256(t, "target")
		if rapid.Bool().Draw(t, "close") { // the last bit decides
			a.Add(b, big.NewInt(int64(rapid.IntRange(-1, 1).Draw(t, "delta"))))
			if a.Sign() < 0 || a.BitLen() > 256 {
				a.Set(b)
			}
		}
		target, err := TargetFromBig(b)
		if err != nil {
			t.Fatal(err)
		}
		var h Hash
		a.FillBytes(h[:])
		h = h.reversed()
		if got, want := target.Meets(&h), a.Cmp(b) <= 0; got != want {
			t.Fatalf("%x <= %x: %v", a, b, got)
		}
		other, err := TargetFromBig(a)
		if err != nil || other.Cmp(target) != a.Cmp(b) {
			t.Fatalf("compare %x with %x: %d, %v", a, b, other.Cmp(target), err)
		}
		again, err := ParseTarget(target.String())
		if err != nil || again != target {
			t.Fatalf("%s -> %s, %v", target, again, err)
		}
	})
}

func TestWorkOfTarget(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	limit.Sub(limit, big.NewInt(1))
	rapid.Check(t, func(t *rapid.T) {
		v := random256(t, "target")
		target, err := TargetFromBig(v)
		if err != nil {
			t.Fatal(err)
		}
		want := new(big.Int).Lsh(big.NewInt(1), 256)
		want.Quo(want, v.Add(v, big.NewInt(1)))
		if want.Cmp(limit) > 0 {
			want = limit
		}
		if got := target.Work().Big(); got.Cmp(want) != 0 {
			t.Fatalf("work of %s is %d, want %d", target, got, want)
		}
	})
	bits, err := TargetFromBits(0x1d00ffff)
	if err != nil || bits.Work() != WorkOf(0x100010001) {
		t.Errorf("work of difficulty 1 is %s, %v", bits.Work(), err)
	}
}

func TestTargetRefusals(t *testing.T) {
	for _, bad := range []string{"", "00", strings.Repeat("0", 66), strings.Repeat("z", 64)} {
		if got, err := ParseTarget(bad); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
	if got, err := TargetFromBig(big.NewInt(-1)); err == nil {
		t.Errorf("-1 is read as %s", got)
	}
	if got, err := TargetFromBig(new(big.Int).Lsh(big.NewInt(1), 256)); err == nil {
		t.Errorf("2^256 is read as %s", got)
	}
}
