// Package sha256d is Bitcoin's proof of work, SHA-256 applied twice, on the
// standard library's SHA-256 (which uses the CPU's SHA instructions where there
// are any). It is the specification that faster implementations are held to.
package sha256d

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"

	"github.com/adit-pool/adit/kernels"
)

// Kernel is the function; it holds no state.
type Kernel struct{}

var _ kernels.Kernel = Kernel{}

// Name is "sha256d".
func (Kernel) Name() string { return "sha256d" }

// Diff1 is 0xffff · 2^208.
func (Kernel) Diff1() [32]byte { return [32]byte{4: 0xff, 5: 0xff} }

// Hash is SHA256(SHA256(header)) in internal byte order.
func (Kernel) Hash(header *[kernels.HeaderSize]byte) [32]byte {
	once := sha256.Sum256(header[:])
	return sha256.Sum256(once[:])
}

// Scan keeps the state of SHA-256 after the first 76 bytes (the first block is
// compressed once for the whole range) and restores it for each nonce. It
// allocates per call, not per nonce.
func (Kernel) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	count = kernels.Clip(first, count)
	digest := sha256.New()
	digest.Write(header[:76])
	state, err := digest.(encoding.BinaryAppender).AppendBinary(make([]byte, 0, 128))
	if err != nil {
		panic(fmt.Sprintf("sha256d: save the midstate of crypto/sha256: %v", err)) // never: documented to work
	}
	restore := digest.(encoding.BinaryUnmarshaler)
	high := binary.BigEndian.Uint64(target[:])
	nonce := make([]byte, 4)
	once := make([]byte, 0, sha256.Size)
	for i := range count {
		n := first + uint32(i)
		if err := restore.UnmarshalBinary(state); err != nil {
			panic(fmt.Sprintf("sha256d: restore the midstate of crypto/sha256: %v", err)) // never: our own state
		}
		binary.LittleEndian.PutUint32(nonce, n)
		digest.Write(nonce)
		hash := sha256.Sum256(digest.Sum(once))
		if binary.LittleEndian.Uint64(hash[24:]) > high || !kernels.Meets(&hash, target) {
			continue
		}
		if !found(n) {
			return i + 1
		}
	}
	return count
}
