//go:build !purego

package scrypt

import (
	"math/rand/v2"
	"testing"

	"github.com/adit-pool/adit/kernels"
)

// A fault in the SHA instructions' code would only be seen in the speed: the
// trial at start turns it off.
func TestPBKDF2(t *testing.T) {
	if !kernels.CPU().SHA {
		t.Skip("the CPU has no SHA instructions")
	}
	if !shaniRight() {
		t.Error("the trial of the SHA instructions fails")
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var header [kernels.HeaderSize]byte
		for i := range header {
			header[i] = byte(rng.Uint32())
		}
		fast, slow := password{shani: true}, password{}
		var a, b [32]uint32
		fast.expand(&header, &a)
		slow.expand(&header, &b)
		if a != b {
			t.Fatalf("header %x expands to %x, want %x", header, a, b)
		}
		for i := range a {
			a[i] = rng.Uint32()
		}
		if got, want := fast.key(&a), slow.key(&a); got != want {
			t.Fatalf("header %x, %x: key %x, want %x", header, a, got, want)
		}
	}
}

// Scratch memory is pooled, and a pool may drop it (the race detector makes it
// do so); a batch of 24 must not allocate for every hash.
func TestHashBatchReusesMemory(t *testing.T) {
	if !useSHANI() || Fastest().Name == "generic" {
		t.Skip("the standard library's PBKDF2 allocates")
	}
	headers, out := make([][kernels.HeaderSize]byte, 24), make([][32]byte, 24)
	if n := testing.AllocsPerRun(20, func() { HashBatch(headers, out) }); n >= 3 {
		t.Errorf("a batch allocates %v times", n)
	}
}
