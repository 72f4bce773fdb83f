package sha256d_test

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"github.com/adit-pool/adit/kernels/kerneltest"
	"github.com/adit-pool/adit/kernels/sha256d"
)

func TestKernel(t *testing.T)          { kerneltest.Run(t, sha256d.Kernel{}) }
func TestImplementations(t *testing.T) { kerneltest.RunAll(t, sha256d.Implementations()) }
func FuzzImplementations(f *testing.F) { kerneltest.Fuzz(f, sha256d.Implementations(), 200) }
func FuzzVersions(f *testing.F)        { kerneltest.FuzzVersions(f, sha256d.Implementations(), 600) }

func TestNoAllocationPerNonce(t *testing.T) {
	var header [80]byte
	var none [32]byte
	for _, impl := range sha256d.Implementations() {
		if impl.Off != "" {
			continue
		}
		allocations := func(count uint64) float64 {
			return testing.AllocsPerRun(20, func() { impl.Kernel.Scan(&header, 0, count, &none, nil) })
		}
		if few, many := allocations(1), allocations(20_000); few != many {
			t.Errorf("%s: 1 nonce costs %v allocations, 20000 nonces %v", impl.Name, few, many)
		}
	}
}

func TestSums(t *testing.T) {
	double := func(b []byte) [32]byte {
		once := sha256.Sum256(b)
		return sha256.Sum256(once[:])
	}
	rng := rand.New(rand.NewPCG(1, 2))
	buffer := make([]byte, 1200)
	for i := range buffer {
		buffer[i] = byte(rng.Uint32())
	}
	for n := range 1100 { // every length, at every alignment
		b := buffer[n%67:][:n]
		if got, want := sha256d.Sum(b), double(b); got != want {
			t.Fatalf("Sum of %d bytes: %x, want %x", n, got, want)
		}
	}
	for i := range 1000 {
		header := (*[80]byte)(buffer[i:])
		if got, want := sha256d.SumHeader(header), double(header[:]); got != want {
			t.Fatalf("SumHeader at %d: %x, want %x", i, got, want)
		}
		left, right := [32]byte(buffer[i:]), [32]byte(buffer[(i*7+1)%1000:])
		want := double(append(left[:], right[:]...))
		var node [32]byte
		sha256d.Sum64(&node, &left, &right)
		intoLeft, intoRight := left, right
		sha256d.Sum64(&intoLeft, &intoLeft, &right)
		sha256d.Sum64(&intoRight, &left, &intoRight)
		if node != want || intoLeft != want || intoRight != want {
			t.Fatalf("Sum64 at %d: %x, %x, %x, want %x", i, node, intoLeft, intoRight, want)
		}
		other := [32]byte(buffer[(i*13+5)%1000:])
		first, second := left, other
		sha256d.Sum64Pair(&first, &second, &right)
		if first != want || second != double(append(other[:], right[:]...)) {
			t.Fatalf("Sum64Pair at %d: %x and %x, the first should be %x", i, first, second, want)
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, 119))
	f.Fuzz(func(t *testing.T, b []byte) {
		once := sha256.Sum256(b)
		if got, want := sha256d.Sum(b), sha256.Sum256(once[:]); got != want {
			t.Errorf("Sum(%x) = %x, want %x", b, got, want)
		}
	})
}

func TestSumsDoNotAllocate(t *testing.T) {
	var header [80]byte
	var node, other, right [32]byte
	coinbase := make([]byte, 250)
	if n := testing.AllocsPerRun(100, func() {
		node = sha256d.SumHeader(&header)
		node = sha256d.Sum(coinbase)
		sha256d.Sum64(&node, &node, &node)
		sha256d.Sum64Pair(&node, &other, &right)
		node = sha256d.Kernel{}.Hash(&header)
	}); n != 0 {
		t.Errorf("sums allocate %v times", n)
	}
}

func BenchmarkScan(b *testing.B) { kerneltest.BenchmarkAll(b, sha256d.Implementations()) }

func BenchmarkHash(b *testing.B) { kerneltest.BenchmarkHash(b, sha256d.Kernel{}) }

func BenchmarkSum64(b *testing.B) {
	var node [32]byte
	b.ReportAllocs()
	for b.Loop() {
		sha256d.Sum64(&node, &node, &node)
	}
}

func BenchmarkSum64Pair(b *testing.B) {
	var first, second, right [32]byte
	b.ReportAllocs()
	for b.Loop() {
		sha256d.Sum64Pair(&first, &second, &right)
	}
}

func BenchmarkSum250(b *testing.B) {
	coinbase := make([]byte, 250)
	b.ReportAllocs()
	for b.Loop() {
		sha256d.Sum(coinbase)
	}
}

// BenchmarkShare is the hashing of one share: a coinbase of 250 bytes, 12
// branches and the header.
func BenchmarkShare(b *testing.B) {
	coinbase := make([]byte, 250)
	var branches [12][32]byte
	var header [80]byte
	b.ReportAllocs()
	for b.Loop() {
		root := sha256d.Sum(coinbase)
		for i := range branches {
			sha256d.Sum64(&root, &root, &branches[i])
		}
		copy(header[36:], root[:])
		hash := sha256d.SumHeader(&header)
		coinbase[0] = hash[0]
	}
}
