package scrypt_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/adit-pool/adit/kernels/kerneltest"
	"github.com/adit-pool/adit/kernels/scrypt"
)

func TestKernel(t *testing.T)          { kerneltest.Run(t, scrypt.Kernel{}) }
func TestImplementations(t *testing.T) { kerneltest.RunAll(t, scrypt.Implementations()) }
func FuzzImplementations(f *testing.F) { kerneltest.Fuzz(f, scrypt.Implementations(), 30) }

func TestHashBatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	headers := make([][80]byte, 60)
	want := make([][32]byte, len(headers))
	for i := range headers {
		for j := range headers[i] {
			headers[i][j] = byte(rng.Uint32())
		}
		want[i] = scrypt.Generic{}.Hash(&headers[i])
	}
	got := make([][32]byte, len(headers))
	for n := range len(headers) + 1 { // every length
		clear(got)
		scrypt.HashBatch(headers[:n], got[:n])
		for i := range n {
			if got[i] != want[i] {
				t.Fatalf("hash %d of %d is %x, want %x", i, n, got[i], want[i])
			}
		}
		if n < len(got) && got[n] != [32]byte{} {
			t.Fatalf("a batch of %d wrote hash %d", n, n)
		}
	}
}

func BenchmarkScan(b *testing.B) { kerneltest.BenchmarkAll(b, scrypt.Implementations()) }
func BenchmarkHash(b *testing.B) { kerneltest.BenchmarkHash(b, scrypt.Kernel{}) }

// BenchmarkHashBatch is the cost of one share in batches of some sizes.
func BenchmarkHashBatch(b *testing.B) {
	for _, n := range []int{1, 4, 8, 16, 24, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			headers, out := make([][80]byte, n), make([][32]byte, n)
			scrypt.HashBatch(headers, out) // calibrates
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += n {
				scrypt.HashBatch(headers, out)
			}
		})
	}
}
