package sha256d

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"

	"github.com/adit-pool/adit/kernels"
)

// Generic is the function on the standard library's SHA-256 (which uses the
// CPU's SHA instructions where there are any): the specification that the
// faster implementations are held to. It holds no state.
type Generic struct{}

var _ kernels.Rolling = Generic{}

// Name is "sha256d".
func (Generic) Name() string { return name }

// Diff1 is 0xffff · 2^208.
func (Generic) Diff1() [32]byte { return [32]byte{4: 0xff, 5: 0xff} }

// Hash is SHA256(SHA256(header)) in internal byte order.
func (Generic) Hash(header *[kernels.HeaderSize]byte) [32]byte { return sum(header[:]) }

// sum is SHA256(SHA256(b)).
func sum(b []byte) [32]byte {
	once := sha256.Sum256(b)
	return sha256.Sum256(once[:])
}

// sum64Generic is Sum64 without assembly.
func sum64Generic(dst, left, right *[32]byte) {
	var both [64]byte
	copy(both[:32], left[:])
	copy(both[32:], right[:])
	*dst = sum(both[:])
}

// Scan keeps the state of SHA-256 after the first 76 bytes (the first block is
// compressed once for the whole range) and restores it for each nonce. It
// allocates per call, not per nonce.
func (Generic) Scan(header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) uint64 {
	version := binary.LittleEndian.Uint32(header[:])
	return Generic{}.ScanVersions(header, []uint32{version}, first, count, target, func(nonce uint32, _ int) bool { return found(nonce) })
}

// ScanVersions keeps such a state for each version.
func (Generic) ScanVersions(header *[kernels.HeaderSize]byte, versions []uint32, first uint32, count uint64, target *[32]byte, found func(nonce uint32, version int) bool) uint64 {
	count = kernels.Clip(first, count)
	digest := sha256.New()
	states := make([][]byte, len(versions))
	for i, version := range versions {
		start := *header
		binary.LittleEndian.PutUint32(start[:], version)
		digest.Reset()
		digest.Write(start[:76])
		state, err := digest.(encoding.BinaryAppender).AppendBinary(make([]byte, 0, 128))
		if err != nil {
			panic(fmt.Sprintf("sha256d: save the midstate of crypto/sha256: %v", err)) // never: documented to work
		}
		states[i] = state
	}
	restore := digest.(encoding.BinaryUnmarshaler)
	high := binary.BigEndian.Uint64(target[:])
	nonce := make([]byte, 4)
	once := make([]byte, 0, sha256.Size)
	for i := range count {
		n := first + uint32(i)
		binary.LittleEndian.PutUint32(nonce, n)
		stop := false
		for version, state := range states {
			if err := restore.UnmarshalBinary(state); err != nil {
				panic(fmt.Sprintf("sha256d: restore the midstate of crypto/sha256: %v", err)) // never: our own state
			}
			digest.Write(nonce)
			hash := sha256.Sum256(digest.Sum(once))
			if binary.LittleEndian.Uint64(hash[24:]) <= high && kernels.Meets(&hash, target) && !found(n, version) {
				stop = true
			}
		}
		if stop {
			return i + 1
		}
	}
	return count
}
