package sha256d_test

import (
	"testing"

	"github.com/adit-pool/adit/kernels/kerneltest"
	"github.com/adit-pool/adit/kernels/sha256d"
)

func TestKernel(t *testing.T) { kerneltest.Run(t, sha256d.Kernel{}) }

func TestNoAllocationPerNonce(t *testing.T) {
	var header [80]byte
	var none [32]byte
	k := sha256d.Kernel{}
	allocations := func(count uint64) float64 {
		return testing.AllocsPerRun(20, func() { k.Scan(&header, 0, count, &none, nil) })
	}
	if few, many := allocations(1), allocations(1000); few != many {
		t.Errorf("1 nonce costs %v allocations, 1000 nonces %v", few, many)
	}
	if n := testing.AllocsPerRun(100, func() { k.Hash(&header) }); n != 0 {
		t.Errorf("Hash allocates %v times", n)
	}
}

func BenchmarkScan(b *testing.B) { kerneltest.BenchmarkScan(b, sha256d.Kernel{}) }
func BenchmarkHash(b *testing.B) { kerneltest.BenchmarkHash(b, sha256d.Kernel{}) }
