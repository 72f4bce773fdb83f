//go:build !purego

package sha256d

import (
	"encoding/binary"
	"fmt"

	"github.com/adit-pool/adit/kernels"
)

// path is one of the searches in assembly.
type path int

const (
	shani2 path = iota
	shani3
	shani4
	avx2x8
	avx512x16
	avx512x32
)

var paths = [...]struct {
	name  string
	lanes int
	needs func(kernels.Features) bool
	lacks string
}{
	shani2:    {"shani-2x", 2, hasSHA, noSHA},
	shani3:    {"shani-3x", 3, hasSHA, noSHA},
	shani4:    {"shani-4x", 4, hasSHA, noSHA},
	avx2x8:    {"avx2-8x", 8, func(f kernels.Features) bool { return f.AVX2 }, "the CPU has no AVX2"},
	avx512x16: {"avx512-16x", 16, hasAVX512, noAVX512},
	avx512x32: {"avx512-32x", 32, hasAVX512, noAVX512},
}

const (
	noSHA    = "the CPU has no SHA instructions"
	noAVX512 = "the CPU has no AVX-512 (F and BW)"
)

func hasSHA(f kernels.Features) bool    { return f.SHA }
func hasAVX512(f kernels.Features) bool { return f.AVX512 }

// trialNonces are enough for every lane to find some.
const trialNonces = 1 << 14

func assembly() (all []kernels.Implementation) {
	cpu := kernels.CPU()
	trial := kernels.NewTrial(Generic{}, trialNonces, [32]byte{0: 1}) // one nonce of 256
	sumsRight := !cpu.SHA || shaniSumsRight()
	for p, is := range paths {
		impl := kernels.Implementation{Name: is.name, Lanes: is.lanes}
		switch k := (scanner{path(p)}); {
		case !is.needs(cpu):
			impl.Off = is.lacks
		case kernels.Disabled(name, is.name):
			impl.Off = "turned off by " + kernels.DisableVariable
		case is.needs(kernels.Features{SHA: true}) && !sumsRight, !trial.Passed(k.kernel(), trialNonces):
			impl.Off = "gives wrong results on this CPU"
		default:
			impl.Kernel = k.kernel()
		}
		all = append(all, impl)
	}
	return all
}

// scanner is the function by one of the searches in assembly.
type scanner struct{ path path }

func (scanner) Name() string    { return name }
func (scanner) Diff1() [32]byte { return Generic{}.Diff1() }

func (s scanner) Hash(header *[kernels.HeaderSize]byte) (hash [32]byte) {
	if s.path > shani4 {
		return SumHeader(header)
	}
	sumHeaderSHANI(&hash, header)
	return hash
}

// chunk is how many nonces are searched between two chances for the runtime to
// stop the goroutine, which it cannot do inside assembly: below 1 ms.
const chunk = 1 << 13

// Scan lets the assembly find the groups of nonces of which one may meet the
// target, by the highest word of its hash, and hashes those again.
func (s scanner) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	count = kernels.Clip(first, count)
	job := newJob(header, target)
	var shani [37]uint32
	var words [35]uint32
	if s.path <= shani4 {
		shani = job.forSHANI()
	} else {
		words = job.forLanes()
	}
	lanes := uint64(paths[s.path].lanes)
	for at := uint64(0); at < count; {
		groups := int((min(count-at, chunk) + lanes - 1) / lanes)
		nonce := first + uint32(at)
		var hit int
		switch s.path {
		case shani2:
			hit = scanSHANI2(&shani, nonce, groups)
		case shani3:
			hit = scanSHANI3(&shani, nonce, groups)
		case shani4:
			hit = scanSHANI4(&shani, nonce, groups)
		case avx2x8:
			hit = scanAVX2x8(&words, nonce, groups)
		case avx512x16:
			hit = scanAVX512x16(&words, nonce, groups)
		case avx512x32:
			hit = scanAVX512x32(&words, nonce, groups)
		default:
			panic(fmt.Sprintf("sha256d: no path %d", s.path)) // never: made by assembly only
		}
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

// kernel is s, with a search of several versions where that is faster than one after
// another. With the SHA instructions the rounds take all the time, and the message
// words go beside them; with AVX2 a round waits for the one before, and the words
// that are left out would have filled the gaps.
func (s scanner) kernel() kernels.Kernel {
	if s.path == avx512x32 {
		return roller{s}
	}
	return s
}

// roller is the scanner avx512x32 that searches several versions at once.
type roller struct{ scanner }

// ScanVersions lets the assembly find the groups of nonces of which one may meet the
// target in one of the versions, and searches those again version by version.
func (r roller) ScanVersions(header *[kernels.HeaderSize]byte, versions []uint32, first uint32, count uint64, target *[32]byte, found func(nonce uint32, version int) bool) uint64 {
	count = kernels.Clip(first, count)
	if len(versions) == 0 {
		return count
	}
	states := make([][16]uint32, len(versions))
	var one *job
	for i, version := range versions {
		start := *header
		binary.LittleEndian.PutUint32(start[:], version)
		one = newJob(&start, target)
		copy(states[i][:8], one.state3[:])
		copy(states[i][8:], one.mid[:])
	}
	words := one.forLanes() // of those that are read here, every version has the same
	const lanes = 32
	portion := max(chunk/uint64(len(versions)), lanes)
	stopped := false
	report := func(nonce uint32, version int) bool {
		stopped = !found(nonce, version) || stopped
		return !stopped
	}
	for at := uint64(0); at < count; {
		groups := int((min(count-at, portion) + lanes - 1) / lanes)
		nonce := first + uint32(at)
		hit := scanAVX512x32Rolled(&words, &states[0], len(states), nonce, groups)
		at += uint64(hit) * lanes
		if hit == groups {
			continue
		}
		at += kernels.ScanVersions(r.scanner, header, versions, first+uint32(at), min(lanes, count-at), target, report)
		if stopped {
			return at
		}
	}
	return count
}

// forSHANI lays the job out for the SHA instructions: vectors of four words,
// as the offsets in the generator name them, and the target's highest word.
func (j *job) forSHANI() (out [37]uint32) {
	s, m := j.state3, j.mid
	for i, v := range [...][4]uint32{
		{s[5], s[4], s[1], s[0]},
		{s[7], s[6], s[3], s[2]},
		{j.w16, j.w17, j.w[2] + sigma1(j.w16), sigma0(j.w[4]) + sigma1(j.w17)},
		{j.w[4], 0, j.w[15], j.w16},
		{0, 0, sigma0(j.w[15]), sigma0(j.w16) + j.w[15]},
		{m[5], m[4], m[1], m[0]},
		{m[7], m[6], m[3], m[2]},
		{1 << 31, 0, 0, 0},
		{0, 0, 0, 8 * 32},
	} {
		copy(out[4*i:], v[:])
	}
	out[36] = j.high
	return out
}
