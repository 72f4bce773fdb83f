package scrypt

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/scrypt"

	"github.com/adit-pool/adit/kernels"
)

// Generic is the function by golang.org/x/crypto: the specification that the
// faster implementations are held to. It holds no state.
type Generic struct{}

var _ kernels.Kernel = Generic{}

// Name is "scrypt".
func (Generic) Name() string { return name }

// Diff1 is 0xffff · 2^224: scrypt miners take a Stratum difficulty as 65536
// times easier than Bitcoin's.
func (Generic) Diff1() [32]byte { return [32]byte{2: 0xff, 3: 0xff} }

// Hash is scrypt(header, header, 1024, 1, 1, 32) in internal byte order.
func (Generic) Hash(header *[kernels.HeaderSize]byte) [32]byte {
	key, err := scrypt.Key(header[:], header[:], 1024, 1, 1, 32)
	if err != nil {
		panic(fmt.Sprintf("scrypt: %v", err)) // never: the parameters are constants
	}
	return [32]byte(key)
}

// Scan hashes nonce by nonce.
func (k Generic) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	count = kernels.Clip(first, count)
	work := *header
	for i := range count {
		n := first + uint32(i)
		binary.LittleEndian.PutUint32(work[76:], n)
		if hash := k.Hash(&work); kernels.Meets(&hash, target) && !found(n) {
			return i + 1
		}
	}
	return count
}
