//go:build !purego

package sha256d

import (
	"encoding/binary"
	"sync"

	"github.com/adit-pool/adit/kernels"
)

// compressSHA2 adds blocks of 64 bytes at p to state.
//
//go:noescape
func compressSHA2(state *[8]uint32, p *byte, blocks int)

// useSHA2 tells whether sums are to use the SHA-2 instructions. They were tried
// against the standard library before.
var useSHA2 = sync.OnceValue(func() bool {
	return kernels.CPU().SHA2 && !kernels.Disabled(name, "sha2") && sha2SumsRight()
})

// SumHeader is SHA256(SHA256(header)).
func SumHeader(header *[kernels.HeaderSize]byte) [32]byte { return Sum(header[:]) }

// Sum64 sets dst to SHA256(SHA256(left ‖ right)), a node of a Merkle tree. dst
// may be left or right.
func Sum64(dst, left, right *[32]byte) {
	var both [64]byte
	copy(both[:32], left[:])
	copy(both[32:], right[:])
	*dst = Sum(both[:])
}

// Sum64Pair sets a to SHA256(SHA256(a ‖ right)) and b to SHA256(SHA256(b ‖ right)), the nodes of two Merkle
// trees with a branch in common.
func Sum64Pair(a, b, right *[32]byte) {
	Sum64(a, a, right)
	Sum64(b, b, right)
}

// Sum is SHA256(SHA256(b)), as of a coinbase transaction. It does not allocate.
func Sum(b []byte) [32]byte {
	if !useSHA2() {
		return sum(b)
	}
	return sumSHA2(b)
}

func sumSHA2(b []byte) (hash [32]byte) {
	state := initial
	if blocks := len(b) / 64; blocks > 0 {
		compressSHA2(&state, &b[0], blocks)
	}
	var end [128]byte // the rest, 1 bit, zeros, length in bits
	n := copy(end[:], b[len(b)&^63:])
	end[n] = 0x80
	blocks := (n + 9 + 63) / 64
	binary.BigEndian.PutUint64(end[64*blocks-8:], uint64(len(b))*8)
	compressSHA2(&state, &end[0], blocks)

	end = [128]byte{32: 0x80, 62: 1} // 256 bits
	for i, word := range state {
		binary.BigEndian.PutUint32(end[4*i:], word)
	}
	state = initial
	compressSHA2(&state, &end[0], 1)
	for i, word := range state {
		binary.BigEndian.PutUint32(hash[4*i:], word)
	}
	return hash
}

// sha2SumsRight compares with the standard library's.
func sha2SumsRight() bool {
	var b [200]byte
	for i := range b {
		b[i] = byte(i*i + 5*i + 3)
	}
	for _, n := range []int{0, 55, 56, 64, 80, 119, 120, 200} {
		if sumSHA2(b[:n]) != sum(b[:n]) {
			return false
		}
	}
	return true
}
