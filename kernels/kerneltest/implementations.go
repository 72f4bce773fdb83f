package kerneltest

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/adit-pool/adit/kernels"
)

// RunAll runs the suite on every implementation that this machine can use.
func RunAll(t *testing.T, all []kernels.Implementation) {
	names := map[string]bool{}
	for _, impl := range all {
		if names[impl.Name] || impl.Lanes < 1 || (impl.Kernel == nil) != (impl.Off != "") {
			t.Errorf("implementation %+v", impl)
		}
		names[impl.Name] = true
		t.Run(impl.Name, func(t *testing.T) {
			if strings.HasPrefix(impl.Off, "gives wrong") {
				t.Fatal(impl.Off)
			}
			if impl.Off != "" {
				t.Skip(impl.Off)
			}
			Run(t, impl.Kernel)
			t.Run("every count", func(t *testing.T) { everyCount(t, impl) })
		})
	}
}

// everyCount searches ranges of every length around the lanes of impl, ending
// anywhere in a group and at the last nonce, against the first implementation's
// hashes of the same headers.
func everyCount(t *testing.T, impl kernels.Implementation) {
	rng := seeded(t)
	straight, _ := reference(t, impl.Kernel.Name())
	most := 2*impl.Lanes + 3
	target := [32]byte{0: 0x30, 1: byte(rng.Uint32())}
	for _, first := range []uint32{rng.Uint32(), 0, 0xffffffff - uint32(most) + 2} {
		header := randomHeader(rng)
		meets := make([]bool, most)
		for i := range meets {
			probe := header
			binary.LittleEndian.PutUint32(probe[76:], first+uint32(i))
			hash := straight(probe)
			meets[i] = kernels.Meets(&hash, &target)
		}
		for count := range uint64(most + 1) {
			var want []uint32
			for i := range kernels.Clip(first, count) {
				if meets[i] {
					want = append(want, first+uint32(i))
				}
			}
			if got := collect(impl.Kernel, header, first, count, target); !slices.Equal(got, want) {
				t.Fatalf("Scan(%#x, %d) found %x, want %x", first, count, got, want)
			}
		}
	}
}

// Fuzz compares every implementation with the first on any header, range and
// target. most is how many nonces one case may try.
func Fuzz(f *testing.F, all []kernels.Implementation, most uint64) {
	f.Add(make([]byte, kernels.HeaderSize), uint32(0), uint64(1), byte(0x40))
	f.Add([]byte("a header that is not one"), uint32(0xfffffff0), uint64(70), byte(0xff))
	f.Fuzz(func(t *testing.T, bytes []byte, first uint32, count uint64, easy byte) {
		var header [kernels.HeaderSize]byte
		copy(header[:], bytes)
		count %= most + 1
		target := [32]byte{0: easy, 1: 0x80}
		hash := all[0].Kernel.Hash(&header)
		want := collect(all[0].Kernel, header, first, count, target)
		for _, impl := range all[1:] {
			if impl.Off != "" {
				continue
			}
			if got := impl.Kernel.Hash(&header); got != hash {
				t.Errorf("%s: hash %x, want %x", impl.Name, got, hash)
			}
			if got := collect(impl.Kernel, header, first, count, target); !slices.Equal(got, want) {
				t.Errorf("%s: Scan(%#x, %d) found %x, want %x", impl.Name, first, count, got, want)
			}
		}
	})
}

// BenchmarkAll runs BenchmarkScan on every implementation.
func BenchmarkAll(b *testing.B, all []kernels.Implementation) {
	for _, impl := range all {
		b.Run(impl.Name, func(b *testing.B) {
			if impl.Off != "" {
				b.Skip(impl.Off)
			}
			BenchmarkScan(b, impl.Kernel)
		})
	}
}
