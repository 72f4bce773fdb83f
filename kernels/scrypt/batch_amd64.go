//go:build !purego

package scrypt

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"

	"github.com/adit-pool/adit/kernels"
)

//go:generate go run -C ../_asm . -out ../scrypt/shani_amd64.s -stubs ../scrypt/shani_amd64.go -pkg scrypt scrypt-shani
//go:generate go run -C ../_asm . -out ../scrypt/avx2_amd64.s -stubs ../scrypt/avx2_amd64.go -pkg scrypt scrypt-avx2
//go:generate go run -C ../_asm . -out ../scrypt/avx512_amd64.s -stubs ../scrypt/avx512_amd64.go -pkg scrypt scrypt-avx512

// path is one of the ROMix functions in assembly.
type path int

const (
	avx2x2 path = iota
	avx2x6
	avx2x8
	avx512x4
	avx512x16
	avx512x24
)

var paths = [...]struct {
	name     string
	chains   int // registers' worth of hashes in step
	perChain int
	needs    func(kernels.Features) bool
	lacks    string
}{
	avx2x2:    {"avx2-2x", 1, 2, hasAVX2, noAVX2},
	avx2x6:    {"avx2-6x", 3, 2, hasAVX2, noAVX2},
	avx2x8:    {"avx2-8x", 4, 2, hasAVX2, noAVX2},
	avx512x4:  {"avx512-4x", 1, 4, hasAVX512, noAVX512},
	avx512x16: {"avx512-16x", 4, 4, hasAVX512, noAVX512},
	avx512x24: {"avx512-24x", 6, 4, hasAVX512, noAVX512},
}

const (
	noAVX2   = "the CPU has no AVX2"
	noAVX512 = "the CPU has no AVX-512 (F and BW)"
)

func hasAVX2(f kernels.Features) bool   { return f.AVX2 }
func hasAVX512(f kernels.Features) bool { return f.AVX512 }

func assembly() (all []kernels.Implementation) {
	cpu := kernels.CPU()
	trial := kernels.NewTrial(Generic{}, mostLanes+1, [32]byte{0: 0x30}) // some of them: every lane's whole hash is looked at
	for p, is := range paths {
		impl := kernels.Implementation{Name: is.name, Lanes: is.chains * is.perChain}
		switch k := (batcher{path(p)}); {
		case !is.needs(cpu):
			impl.Off = is.lacks
		case kernels.Disabled(name, is.name):
			impl.Off = "turned off by " + kernels.DisableVariable
		case !trial.Passed(k, uint64(impl.Lanes)+1):
			impl.Off = "gives wrong results on this CPU"
		default:
			impl.Kernel = k
		}
		all = append(all, impl)
	}
	return all
}

// batcher is the function by one of the paths.
type batcher struct{ path path }

func (batcher) Name() string    { return name }
func (batcher) Diff1() [32]byte { return Generic{}.Diff1() }
func (b batcher) lanes() int    { return paths[b.path].chains * paths[b.path].perChain }

func (b batcher) hashBatch(headers [][kernels.HeaderSize]byte, out [][32]byte) {
	s := b.scratch()
	b.hash(s, headers, out)
	b.release(s)
}

func (b batcher) Hash(header *[kernels.HeaderSize]byte) [32]byte {
	s := b.scratch()
	defer b.release(s)
	s.headers[0] = *header
	b.hash(s, s.headers[:1], s.hashes[:1])
	return s.hashes[0]
}

func (b batcher) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	count = kernels.Clip(first, count)
	s := b.scratch()
	defer b.release(s)
	for at := uint64(0); at < count; {
		n := int(min(count-at, uint64(b.lanes())))
		for i := range n {
			s.headers[i] = *header
			binary.LittleEndian.PutUint32(s.headers[i][76:], first+uint32(at)+uint32(i))
		}
		b.hash(s, s.headers[:n], s.hashes[:n])
		for i := range n {
			if kernels.Meets(&s.hashes[i], target) && !found(first+uint32(at)+uint32(i)) {
				return at + uint64(i) + 1
			}
		}
		at += uint64(n)
	}
	return count
}

// Sizes in bytes.
const (
	mostLanes = 24
	stateSize = 128              // of one hash
	vSize     = 1024 * stateSize // of one hash
	skew      = 576              // between the V of two chains, as in the generator
	align     = 64
)

// scratch is the memory of one batch.
type scratch struct {
	memory    []byte // X, then V
	passwords [mostLanes]password
	headers   [mostLanes][kernels.HeaderSize]byte
	hashes    [mostLanes][32]byte
}

// pools keep scratch, which is megabytes, between calls: one for each path.
var pools [len(paths)]sync.Pool

func (b batcher) scratch() *scratch {
	if s, ok := pools[b.path].Get().(*scratch); ok {
		return s
	}
	is := paths[b.path]
	return &scratch{memory: make([]byte, align+b.lanes()*(stateSize+vSize)+is.chains*skew)}
}

func (b batcher) release(s *scratch) { pools[b.path].Put(s) }

// diagonals are the words of a 64-byte block in the order of its rows.
var diagonals = [16]int{0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11}

// hash hashes at most b.lanes() headers. Lanes without a header do the work of
// the last one again.
func (b batcher) hash(s *scratch, headers [][kernels.HeaderSize]byte, out [][32]byte) {
	memory := s.memory[-int(uintptr(unsafe.Pointer(&s.memory[0])))&(align-1):]
	x, v := memory[:b.lanes()*stateSize], memory[b.lanes()*stateSize:]
	perChain := paths[b.path].perChain
	shani := useSHANI()
	// at is where word i of a row of the lane's hash is.
	at := func(lane, row int) []byte {
		chain, within := lane/perChain, lane%perChain
		return x[((8*chain+row)*perChain+within)*16:][:16]
	}
	var words [32]uint32
	for lane := range b.lanes() {
		if lane < len(headers) {
			s.passwords[lane].shani = shani
			s.passwords[lane].expand(&headers[lane], &words)
		}
		for row := range 8 {
			to := at(lane, row)
			for i := range 4 {
				binary.LittleEndian.PutUint32(to[4*i:], words[row/4*16+diagonals[row%4*4+i]])
			}
		}
	}
	b.romix(&x[0], &v[0])
	for lane := range headers {
		for row := range 8 {
			from := at(lane, row)
			for i := range 4 {
				words[row/4*16+diagonals[row%4*4+i]] = binary.LittleEndian.Uint32(from[4*i:])
			}
		}
		out[lane] = s.passwords[lane].key(&words)
		s.passwords[lane].header = nil
	}
}

func (b batcher) romix(x, v *byte) {
	switch b.path {
	case avx2x2:
		romixAVX2x2(x, v)
	case avx2x6:
		romixAVX2x6(x, v)
	case avx2x8:
		romixAVX2x8(x, v)
	case avx512x4:
		romixAVX512x4(x, v)
	case avx512x16:
		romixAVX512x16(x, v)
	case avx512x24:
		romixAVX512x24(x, v)
	default:
		panic(fmt.Sprintf("scrypt: no path %d", b.path)) // never: made by assembly only
	}
}
