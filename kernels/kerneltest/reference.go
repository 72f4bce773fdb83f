package kerneltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/adit-pool/adit/kernels"
)

// straightSHA256d is SHA-256 applied twice to the whole header.
func straightSHA256d(header [kernels.HeaderSize]byte) [32]byte {
	once := sha256.Sum256(header[:])
	return sha256.Sum256(once[:])
}

// straightScrypt is RFC 7914 with N=1024, r=1, p=1 as it is written there, on
// nothing but HMAC-SHA256.
func straightScrypt(header [kernels.HeaderSize]byte) [32]byte {
	const n = 1024
	b := pbkdf2(header[:], header[:], 128)
	var x [32]uint32
	for i := range x {
		x[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	var v [n][32]uint32
	for i := range v {
		v[i] = x
		blockMix(&x)
	}
	for range n {
		j := x[16] % n // Integerify: the last 64-byte block as a little-endian number
		for i := range x {
			x[i] ^= v[j][i]
		}
		blockMix(&x)
	}
	for i := range x {
		binary.LittleEndian.PutUint32(b[4*i:], x[i])
	}
	return [32]byte(pbkdf2(header[:], b, 32))
}

// blockMix is scryptBlockMix (section 4) with r = 1.
func blockMix(b *[32]uint32) {
	x := [16]uint32(b[16:])
	for half := range 2 {
		for i := range x {
			x[i] ^= b[16*half+i]
		}
		salsa8(&x)
		copy(b[16*half:], x[:])
	}
}

// salsa8 is the Salsa20/8 core (section 3).
func salsa8(b *[16]uint32) {
	x := *b
	quarter := func(a, b, c, d int) {
		x[b] ^= bits.RotateLeft32(x[a]+x[d], 7)
		x[c] ^= bits.RotateLeft32(x[b]+x[a], 9)
		x[d] ^= bits.RotateLeft32(x[c]+x[b], 13)
		x[a] ^= bits.RotateLeft32(x[d]+x[c], 18)
	}
	for range 4 {
		quarter(0, 4, 8, 12)
		quarter(5, 9, 13, 1)
		quarter(10, 14, 2, 6)
		quarter(15, 3, 7, 11)
		quarter(0, 1, 2, 3)
		quarter(5, 6, 7, 4)
		quarter(10, 11, 8, 9)
		quarter(15, 12, 13, 14)
	}
	for i := range b {
		b[i] += x[i]
	}
}

// pbkdf2 is PBKDF2-HMAC-SHA256 with one iteration; size is in bytes.
func pbkdf2(password, salt []byte, size int) []byte {
	var out []byte
	for block := uint32(1); len(out) < size; block++ {
		mac := hmac.New(sha256.New, password)
		mac.Write(salt)
		mac.Write(binary.BigEndian.AppendUint32(nil, block))
		out = mac.Sum(out)
	}
	return out[:size]
}
