package kerneltest

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/adit-pool/adit/kernels"
)

// hit is a nonce found and the index of its version.
type hit struct {
	nonce   uint32
	version int
}

// rolledCase is a search of several versions with the answer that it must give.
type rolledCase struct {
	header   [kernels.HeaderSize]byte
	versions []uint32
	first    uint32
	count    uint64
	target   [32]byte
	want     []hit
}

// newRolledCase hashes every nonce in every version by straight.
func newRolledCase(header [kernels.HeaderSize]byte, versions []uint32, first uint32, count uint64, straight hashFunc) (c rolledCase) {
	c = rolledCase{header: header, versions: versions, first: first, count: count}
	var all [][32]byte
	byVersion := make([][][32]byte, len(versions))
	for i, version := range versions {
		binary.LittleEndian.PutUint32(header[:], version)
		byVersion[i] = displayHashes(header, first, kernels.Clip(first, count), straight)
		all = append(all, byVersion[i]...)
	}
	c.target = rareTarget(all)
	for n := range kernels.Clip(first, count) {
		for i := range versions {
			if slices.Compare(byVersion[i][n][:], c.target[:]) <= 0 {
				c.want = append(c.want, hit{first + uint32(n), i})
			}
		}
	}
	return c
}

func (c rolledCase) check(t *testing.T, name string, k kernels.Kernel) {
	t.Helper()
	var got []hit
	header, versions := c.header, slices.Clone(c.versions)
	tried := kernels.ScanVersions(k, &header, versions, c.first, c.count, &c.target, func(nonce uint32, version int) bool {
		got = append(got, hit{nonce, version})
		return true
	})
	if tried != kernels.Clip(c.first, c.count) || !slices.Equal(got, c.want) {
		t.Errorf("%s: %d versions, nonces %#x+%d: tried %d, found %v, want %v", name, len(c.versions), c.first, c.count, tried, got, c.want)
	}
	if header != c.header || !slices.Equal(versions, c.versions) {
		t.Errorf("%s: the search wrote to the header or the versions", name)
	}
}

// versions: a search of several versions finds what the straight implementation
// does, whatever versions the header has, and nothing else.
func versions(t *testing.T, k kernels.Kernel, straight hashFunc, budget int) {
	rng := seeded(t)
	some := func(n int) (v []uint32) {
		for range n {
			v = append(v, rng.Uint32())
		}
		return v
	}
	f := func(n int, first uint32, count uint64) {
		t.Helper()
		newRolledCase(randomHeader(rng), some(n), first, count, straight).check(t, k.Name(), k)
	}
	f(0, 7, 5)
	f(1, 0, 0)
	f(1, rng.Uint32()>>1, uint64(budget/8))
	f(3, rng.Uint32()>>1, uint64(budget/12))
	f(kernels.Together, 0xffffffff, 5)
	f(kernels.Together, 0xfffffff0, 1<<40)
	f(kernels.Together, rng.Uint32()>>1, uint64(budget/kernels.Together))
	f(2, rng.Uint32()>>1, 1<<14+9) // beyond a portion
	same := rng.Uint32()
	newRolledCase(randomHeader(rng), []uint32{same, same}, 9, 6, straight).check(t, k.Name(), k)
}

// versionsStop: a search told to stop ends with the nonce found last, in all
// versions, and goes on from there to the same end as one in one go.
func versionsStop(t *testing.T, k kernels.Kernel) {
	header := randomHeader(seeded(t))
	everyFourth := [32]byte{0: 0x40}
	list := []uint32{1, 2, 1 << 13}
	const first, count = 5, 40
	var whole, parts []hit
	kernels.ScanVersions(k, &header, list, first, count, &everyFourth, func(nonce uint32, version int) bool {
		whole = append(whole, hit{nonce, version})
		return true
	})
	for at, left := uint32(first), uint64(count); left > 0; {
		var here []hit
		tried := kernels.ScanVersions(k, &header, list, at, left, &everyFourth, func(nonce uint32, version int) bool {
			here = append(here, hit{nonce, version})
			return false
		})
		for _, h := range here {
			if h.nonce != here[0].nonce {
				t.Fatalf("told to stop at %d, then found %v", here[0].nonce, here)
			}
		}
		if len(here) > 0 && uint64(here[0].nonce-at)+1 != tried || len(here) == 0 && tried != left {
			t.Fatalf("from %d, %d nonces: found %v, tried %d", at, left, here, tried)
		}
		parts = append(parts, here...)
		at += uint32(tried)
		left -= tried
	}
	if !slices.Equal(parts, whole) {
		t.Errorf("in parts %v, in one go %v", parts, whole)
	}
}

// everyCountOfVersions searches ranges of every length around the lanes of impl
// in few and many versions.
func everyCountOfVersions(t *testing.T, impl kernels.Implementation) {
	rng := seeded(t)
	straight, _ := reference(t, impl.Kernel.Name())
	for _, n := range []int{1, 2, 3, 7} {
		list := make([]uint32, n)
		for i := range list {
			list[i] = rng.Uint32()
		}
		for count := range uint64(2*impl.Lanes + 3) {
			newRolledCase(randomHeader(rng), list, rng.Uint32()>>1, count, straight).check(t, impl.Name, impl.Kernel)
		}
	}
}

// FuzzVersions compares every implementation's search of several versions with
// the first's hashes. most is how many nonces one case may try in all versions.
func FuzzVersions(f *testing.F, all []kernels.Implementation, most uint64) {
	straight := func(header [kernels.HeaderSize]byte) [32]byte { return all[0].Kernel.Hash(&header) }
	f.Add(make([]byte, kernels.HeaderSize), []byte{0, 0, 0, 0x20}, uint32(0), uint64(1))
	f.Add([]byte("a header that is not one"), []byte("\x00\x00\x00\x20\x00\xe0\xff\x3f\x00\x20\x00\x20"), uint32(0xfffffff0), uint64(70))
	f.Fuzz(func(t *testing.T, bytes, versions []byte, first uint32, count uint64) {
		var header [kernels.HeaderSize]byte
		copy(header[:], bytes)
		var list []uint32
		for ; len(versions) >= 4 && len(list) < kernels.Together; versions = versions[4:] {
			list = append(list, binary.LittleEndian.Uint32(versions))
		}
		c := newRolledCase(header, list, first, count%(most/uint64(len(list)+1)+1), straight)
		for _, impl := range all {
			if impl.Off == "" {
				c.check(t, impl.Name, impl.Kernel)
			}
		}
	})
}
