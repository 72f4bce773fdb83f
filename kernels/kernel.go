// Package kernels names what a proof-of-work function over an 80-byte block
// header must offer to the pool (one hash of a share) and to a rig (a search of
// a nonce range). Each function has a folder of its own; package all lists them
// and package kerneltest is the suite that every implementation passes.
//
// It knows nothing of jobs, coins or devices that are not kernels.
package kernels

import "encoding/binary"

// HeaderSize is the length of a Bitcoin-family block header in bytes.
const HeaderSize = 80

// Kernel is one proof-of-work function. Its methods may be called from several
// goroutines at once.
type Kernel interface {
	// Name is the function in lower case, such as "sha256d".
	Name() string

	// Diff1 is the target of Stratum difficulty 1 as a big-endian number.
	// It is a convention of the function, not of the network: scrypt miners
	// count 65536 times more generously than Bitcoin's.
	Diff1() [32]byte

	// Hash is the proof-of-work hash of header in internal byte order: as a
	// number it is little-endian.
	Hash(header *[HeaderSize]byte) [32]byte

	// Scan tries the nonces first, first+1, … first+count-1 in header, whose
	// own nonce bytes (76..79, little-endian) are ignored, and calls found in
	// ascending order with every nonce whose hash is at most target (a
	// big-endian number), and with no other. A range that goes past the last
	// nonce 0xffffffff ends there. When found returns false, Scan stops right
	// after that nonce. hashes is the number of nonces tried, so that
	// first+hashes is where to go on. header and target are only read.
	Scan(header *[HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) (hashes uint64)
}

// Batch is a Kernel for which many hashes at a time cost less a piece than one
// by one.
type Batch interface {
	Kernel
	// HashBatch sets out[i] to the hash of headers[i]; out is as long as headers.
	HashBatch(headers [][HeaderSize]byte, out [][32]byte)
}

// Meets tells whether hash (little-endian number) is at most target (big-endian
// number).
func Meets(hash, target *[32]byte) bool {
	for i := 0; i < 32; i += 8 {
		h := binary.LittleEndian.Uint64(hash[24-i:])
		t := binary.BigEndian.Uint64(target[i:])
		if h != t {
			return h < t
		}
	}
	return true
}

// Clip is the length of the range of count nonces from first, cut at the last
// nonce.
func Clip(first uint32, count uint64) uint64 {
	return min(count, 1<<32-uint64(first))
}
