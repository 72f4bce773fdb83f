// Package sha256d is Bitcoin's hash, SHA-256 applied twice: the proof of work,
// the nodes of a Merkle tree and the ids of transactions.
//
// [Generic] is the specification. The others are assembly written by the
// generator in kernels/_asm; each needs its instructions, must agree with Generic
// on this CPU when first used, and can be turned off by
// [kernels.DisableVariable] or, all of them, by the build tag purego.
package sha256d

import (
	"slices"
	"sync"

	"github.com/adit-pool/adit/kernels"
)

const (
	name = "sha256d"
	many = 1 << 20 // nonces of a search
)

// Kernel is the function by the implementation that is fastest on this machine.
// It holds no state.
type Kernel struct{}

var _ kernels.Rolling = Kernel{}

// Name is "sha256d".
func (Kernel) Name() string { return name }

// Diff1 is 0xffff · 2^208.
func (Kernel) Diff1() [32]byte { return Generic{}.Diff1() }

// Hash is SHA256(SHA256(header)) in internal byte order.
func (Kernel) Hash(header *[kernels.HeaderSize]byte) [32]byte { return SumHeader(header) }

// Scan searches with the fastest implementation; the first call takes some
// milliseconds to find out which that is.
func (Kernel) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	return fastest().Kernel.Scan(header, first, count, target, found)
}

// ScanVersions searches with the implementation that is fastest at that; so does
// its first call take some milliseconds.
func (Kernel) ScanVersions(header *[kernels.HeaderSize]byte, versions []uint32, first uint32, count uint64, target *[32]byte, found func(nonce uint32, version int) bool) uint64 {
	return kernels.ScanVersions(fastestRolling().Kernel, header, versions, first, count, target, found)
}

var (
	implementations = sync.OnceValue(func() []kernels.Implementation {
		return append([]kernels.Implementation{{Name: "generic", Lanes: 1, Kernel: Generic{}}}, assembly()...)
	})
	calibrated = sync.OnceValue(func() []kernels.Implementation { return kernels.Calibrate(implementations()) })
	fastest    = sync.OnceValue(func() kernels.Implementation { return kernels.Best(calibrated(), many) })

	fastestRolling = sync.OnceValue(func() kernels.Implementation {
		return kernels.Best(kernels.CalibrateRolling(implementations()), many)
	})
)

// Fastest is the implementation that Kernel searches with.
func Fastest() kernels.Implementation { return fastest() }

// FastestRolling is the implementation that Kernel searches several versions with.
func FastestRolling() kernels.Implementation { return fastestRolling() }

// Implementations lists every implementation there is, usable here or not,
// Generic first.
func Implementations() []kernels.Implementation { return slices.Clone(implementations()) }
