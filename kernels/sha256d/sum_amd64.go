//go:build !purego

package sha256d

import (
	"encoding/binary"
	"sync"

	"github.com/adit-pool/adit/kernels"
)

//go:generate go run -C ../_asm . -out ../sha256d/shani_amd64.s -stubs ../sha256d/shani_amd64.go -pkg sha256d sha256d-shani
//go:generate go run -C ../_asm . -out ../sha256d/avx2_amd64.s -stubs ../sha256d/avx2_amd64.go -pkg sha256d sha256d-avx2
//go:generate go run -C ../_asm . -out ../sha256d/avx512_amd64.s -stubs ../sha256d/avx512_amd64.go -pkg sha256d sha256d-avx512

// useSHANI tells whether sums are to use the SHA instructions. They were tried
// against the standard library before.
var useSHANI = sync.OnceValue(func() bool {
	return kernels.CPU().SHA && !kernels.Disabled(name, "shani") && shaniSumsRight()
})

// SumHeader is SHA256(SHA256(header)).
func SumHeader(header *[kernels.HeaderSize]byte) (hash [32]byte) {
	if !useSHANI() {
		return sum(header[:])
	}
	sumHeaderSHANI(&hash, header)
	return hash
}

// Sum64 sets dst to SHA256(SHA256(left ‖ right)), a node of a Merkle tree. dst
// may be left or right.
func Sum64(dst, left, right *[32]byte) {
	if useSHANI() {
		sum64SHANI(dst, left, right)
	} else {
		sum64Generic(dst, left, right)
	}
}

// Sum64Pair sets a to SHA256(SHA256(a ‖ right)) and b to SHA256(SHA256(b ‖ right)), the nodes of two Merkle
// trees with a branch in common, together.
func Sum64Pair(a, b, right *[32]byte) {
	if useSHANI() {
		sum64PairSHANI(a, b, right)
	} else {
		sum64Generic(a, a, right)
		sum64Generic(b, b, right)
	}
}

// Sum is SHA256(SHA256(b)), as of a coinbase transaction. It does not allocate.
func Sum(b []byte) [32]byte {
	if !useSHANI() {
		return sum(b)
	}
	return sumSHANI(b)
}

func sumSHANI(b []byte) (hash [32]byte) {
	state := initial
	if blocks := len(b) / 64; blocks > 0 {
		compressSHANI(&state, &b[0], blocks)
	}
	var end [128]byte // the rest, 1 bit, zeros, length in bits
	n := copy(end[:], b[len(b)&^63:])
	end[n] = 0x80
	blocks := (n + 9 + 63) / 64
	binary.BigEndian.PutUint64(end[64*blocks-8:], uint64(len(b))*8)
	compressSHANI(&state, &end[0], blocks)
	digestSHANI(&hash, &state)
	return hash
}

// shaniSumsRight compares every sum with the standard library's.
func shaniSumsRight() bool {
	var b [200]byte
	for i := range b {
		b[i] = byte(i*i + 5*i + 3)
	}
	for _, n := range []int{0, 55, 56, 64, 119, 120, 200} {
		if sumSHANI(b[:n]) != sum(b[:n]) {
			return false
		}
	}
	var header, node [32]byte
	sumHeaderSHANI(&header, (*[80]byte)(b[1:]))
	sum64SHANI(&node, (*[32]byte)(b[3:]), (*[32]byte)(b[35:]))
	first, second := [32]byte(b[3:]), [32]byte(b[80:])
	sum64PairSHANI(&first, &second, (*[32]byte)(b[35:]))
	return header == sum(b[1:81]) && node == sum(b[3:67]) && first == node && second == sum(append(b[80:112:112], b[35:67]...))
}
