// Package scrypt is the proof of work of Litecoin and Dogecoin: scrypt with
// N=1024, r=1, p=1, a 32-byte key, and the header as both password and salt.
//
// [Generic] is the specification. The others do several hashes in step, in
// assembly written by the generator in kernels/_asm; each needs its instructions,
// must agree with Generic on this CPU when first used, and can be turned off by
// [kernels.DisableVariable] or, all of them, by the build tag purego.
package scrypt

import (
	"slices"
	"sync"

	"github.com/adit-pool/adit/kernels"
)

const (
	name = "scrypt"
	many = 1 << 20 // nonces of a search
)

// Kernel is the function by the implementation that is fastest on this machine.
// It holds no state.
type Kernel struct{}

var _ kernels.Batch = Kernel{}

// Name is "scrypt".
func (Kernel) Name() string { return name }

// Diff1 is 0xffff · 2^224: scrypt miners take a Stratum difficulty as 65536
// times easier than Bitcoin's.
func (Kernel) Diff1() [32]byte { return Generic{}.Diff1() }

// Hash is scrypt(header, header, 1024, 1, 1, 32) in internal byte order. Who has
// several headers hashes them sooner with HashBatch.
func (Kernel) Hash(header *[kernels.HeaderSize]byte) [32]byte {
	return single().Kernel.Hash(header)
}

// Scan searches with the fastest implementation; the first call takes some
// milliseconds to find out which that is.
func (Kernel) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	return fastest().Kernel.Scan(header, first, count, target, found)
}

// HashBatch is the function HashBatch.
func (Kernel) HashBatch(headers [][kernels.HeaderSize]byte, out [][32]byte) { HashBatch(headers, out) }

// HashBatch sets out[i] to the hash of headers[i]; out must be as long as
// headers. A hash in a batch of as many as [Fastest] has lanes, or more, costs a
// fraction of one alone.
func HashBatch(headers [][kernels.HeaderSize]byte, out [][32]byte) {
	if len(headers) != len(out) {
		panic("scrypt: HashBatch with a different number of headers and hashes")
	}
	for len(headers) > 0 {
		impl := kernels.Best(calibrated(), len(headers))
		n := min(len(headers), impl.Lanes)
		if b, ok := impl.Kernel.(batch); ok {
			b.hashBatch(headers[:n], out[:n])
		} else {
			out[0] = impl.Kernel.Hash(&headers[0]) // one lane
		}
		headers, out = headers[n:], out[n:]
	}
}

// batch hashes at most as many headers as it has lanes.
type batch interface {
	hashBatch(headers [][kernels.HeaderSize]byte, out [][32]byte)
}

var (
	implementations = sync.OnceValue(func() []kernels.Implementation {
		return append([]kernels.Implementation{{Name: "generic", Lanes: 1, Kernel: Generic{}}}, assembly()...)
	})
	calibrated = sync.OnceValue(func() []kernels.Implementation { return kernels.Calibrate(implementations()) })
	fastest    = sync.OnceValue(func() kernels.Implementation { return kernels.Best(calibrated(), many) })
	single     = sync.OnceValue(func() kernels.Implementation { return kernels.Best(calibrated(), 1) })
)

// Fastest is the implementation that Kernel searches with.
func Fastest() kernels.Implementation { return fastest() }

// Implementations lists every implementation there is, usable here or not,
// Generic first.
func Implementations() []kernels.Implementation { return slices.Clone(implementations()) }
