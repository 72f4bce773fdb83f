package kerneltest

import (
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
			if _, ok := impl.Kernel.(kernels.Rolling); ok {
				t.Run("every count of versions", func(t *testing.T) { everyCountOfVersions(t, impl) })
			}
		})
	}
}

// everyCount searches ranges of every length around the lanes of impl, ending
// anywhere in a group and at the last nonce.
func everyCount(t *testing.T, impl kernels.Implementation) {
	rng := seeded(t)
	straight, _ := reference(t, impl.Kernel.Name())
	most := 2*impl.Lanes + 3
	for _, first := range []uint32{rng.Uint32() >> 1, 0, 0xffffffff - uint32(most) + 2} {
		header := randomHeader(rng)
		all := displayHashes(header, first, kernels.Clip(first, uint64(most)), straight)
		for count := range uint64(most + 1) {
			hashes := all[:kernels.Clip(first, count)]
			target := rareTarget(hashes)
			want := meeting(first, hashes, target)
			if got := collect(impl.Kernel, header, first, count, target); !slices.Equal(got, want) {
				t.Fatalf("Scan(%#x, %d) found %x, want %x", first, count, got, want)
			}
		}
	}
}

// Fuzz compares every implementation with the first on any header and
// range. most is how many nonces one case may try.
func Fuzz(f *testing.F, all []kernels.Implementation, most uint64) {
	straight := func(header [kernels.HeaderSize]byte) [32]byte { return all[0].Kernel.Hash(&header) }
	f.Add(make([]byte, kernels.HeaderSize), uint32(0), uint64(1))
	f.Add([]byte("a header that is not one"), uint32(0xfffffff0), uint64(70))
	f.Fuzz(func(t *testing.T, bytes []byte, first uint32, count uint64) {
		var header [kernels.HeaderSize]byte
		copy(header[:], bytes)
		count %= most + 1
		hash := straight(header)
		hashes := displayHashes(header, first, kernels.Clip(first, count), straight)
		target := rareTarget(hashes)
		want := meeting(first, hashes, target)
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
