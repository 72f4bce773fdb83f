package sha256d

import (
	"encoding/binary"
	"math/bits"

	"github.com/adit-pool/adit/kernels"
)

// initial is the initial state of SHA-256 (FIPS 180-4, section 5.3.3).
var initial = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// job is all that does not depend on the nonce.
type job struct {
	header [kernels.HeaderSize]byte
	mid    [8]uint32  // a..h after the header's first block
	state3 [8]uint32  // a..h after round 3 of the second block, the nonce taken as 0: it is added to a and e
	w      [16]uint32 // message words of the second block, the nonce taken as 0
	w16    uint32     // words 16 and 17, which the nonce does not reach
	w17    uint32
	high   uint32 // highest word of the target
}

func newJob(header *[kernels.HeaderSize]byte, target *[32]byte) *job {
	j := &job{header: *header, high: binary.BigEndian.Uint32(target[:])}
	for i := range j.w {
		j.w[i] = binary.BigEndian.Uint32(header[4*i:])
	}
	w := j.w[:]
	for t := 16; t < 64; t++ {
		w = append(w, sigma1(w[t-2])+w[t-7]+sigma0(w[t-15])+w[t-16])
	}
	j.mid = rounds(initial, w)
	for i := range j.mid {
		j.mid[i] += initial[i]
	}
	j.w = [16]uint32{
		binary.BigEndian.Uint32(header[64:]), binary.BigEndian.Uint32(header[68:]), binary.BigEndian.Uint32(header[72:]),
		0, 1 << 31, 15: 8 * kernels.HeaderSize,
	}
	j.state3 = rounds(j.mid, j.w[:4])
	j.w16 = sigma0(j.w[1]) + j.w[0]
	j.w17 = sigma1(j.w[15]) + sigma0(j.w[2]) + j.w[1]
	return j
}

// forLanes lays the job out for the searches with a word of a nonce in a register: the
// two states, W+K of rounds 16 and 17, the constant parts of the words 18..31,
// the target's highest word, and words 16 and 17.
func (j *job) forLanes() (out [35]uint32) {
	copy(out[0:], j.state3[:])
	copy(out[8:], j.mid[:])
	const firstWord = 18
	out[16] = j.w16 + roundConstants[16]
	out[17] = j.w17 + roundConstants[17]
	copy(out[firstWord:], []uint32{
		18 - firstWord: sigma1(j.w16) + j.w[2],
		19 - firstWord: sigma1(j.w17) + sigma0(j.w[4]),
		20 - firstWord: j.w[4],
		22 - firstWord: j.w[15],
		23 - firstWord: j.w16,
		24 - firstWord: j.w17,
		30 - firstWord: sigma0(j.w[15]),
		31 - firstWord: sigma0(j.w16) + j.w[15],
	})
	out[32] = j.high
	out[33], out[34] = j.w16, j.w17
	return out
}

func sigma0(x uint32) uint32 {
	return bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
}

func sigma1(x uint32) uint32 {
	return bits.RotateLeft32(x, -17) ^ bits.RotateLeft32(x, -19) ^ x>>10
}

// rounds does a round of SHA-256 for each word of w, from round 0.
func rounds(s [8]uint32, w []uint32) [8]uint32 {
	for t, x := range w {
		a, e := s[0], s[4]
		t1 := s[7] + (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) +
			(e&s[5] ^ ^e&s[6]) + roundConstants[t] + x
		t2 := (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) +
			(a&s[1] ^ a&s[2] ^ s[1]&s[2])
		s = [8]uint32{t1 + t2, a, s[1], s[2], s[3] + t1, e, s[5], s[6]}
	}
	return s
}

// roundConstants is K (FIPS 180-4, section 4.2.2).
var roundConstants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
