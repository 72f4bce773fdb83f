//go:build !purego

package sha256d

import (
	"encoding/binary"

	"github.com/adit-pool/adit/kernels"
)

// scanSHA2x2 tries groups of 2 nonces from nonce. It returns the index of the
// first group in which a hash may meet the target, or groups when there is none.
//
//go:noescape
func scanSHA2x2(job *[24]uint32, nonce uint32, groups int) int

// forSHA2 lays the job out for scanSHA2x2.
func (j *job) forSHA2() (out [24]uint32) {
	copy(out[0:], j.state3[:])
	copy(out[8:], j.mid[:])
	copy(out[16:], j.w[:4])
	out[20] = j.high
	return out
}

// trialNonces are enough for both lanes to find some.
const trialNonces = 1 << 12

func assembly() []kernels.Implementation {
	impl := kernels.Implementation{Name: "sha2-2x", Lanes: 2}
	trial := kernels.NewTrial(Generic{}, trialNonces, [32]byte{0: 1}) // one nonce of 256
	switch {
	case !kernels.CPU().SHA2:
		impl.Off = "the CPU has no SHA-2 instructions"
	case kernels.Disabled(name, impl.Name):
		impl.Off = "turned off by " + kernels.DisableVariable
	case !sha2SumsRight() || !trial.Passed(scanner{}, trialNonces):
		impl.Off = "gives wrong results on this CPU"
	default:
		impl.Kernel = scanner{}
	}
	return []kernels.Implementation{impl}
}

// scanner is the function by the SHA-2 instructions.
type scanner struct{}

func (scanner) Name() string    { return name }
func (scanner) Diff1() [32]byte { return Generic{}.Diff1() }

func (scanner) Hash(header *[kernels.HeaderSize]byte) [32]byte { return sumSHA2(header[:]) }

// Scan lets the assembly find the groups of nonces of which one may meet the
// target, by the highest word of its hash, and hashes those again.
func (s scanner) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	const (
		lanes = 2
		chunk = 1 << 12 // nonces between two chances for the runtime to stop the goroutine
	)
	count = kernels.Clip(first, count)
	job := newJob(header, target)
	words := job.forSHA2()
	for at := uint64(0); at < count; {
		groups := int((min(count-at, chunk) + lanes - 1) / lanes)
		hit := scanSHA2x2(&words, first+uint32(at), groups)
		at += uint64(hit) * lanes
		if hit == groups {
			continue
		}
		for end := min(at+lanes, count); at < end; at++ {
			n := first + uint32(at)
			binary.LittleEndian.PutUint32(job.header[76:], n)
			if hash := s.Hash(&job.header); kernels.Meets(&hash, target) && !found(n) {
				return at + 1
			}
		}
	}
	return count
}
