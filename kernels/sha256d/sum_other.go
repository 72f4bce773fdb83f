//go:build (!amd64 && !arm64) || purego

package sha256d

import "github.com/adit-pool/adit/kernels"

// SumHeader is SHA256(SHA256(header)).
func SumHeader(header *[kernels.HeaderSize]byte) [32]byte { return sum(header[:]) }

// Sum64 sets dst to SHA256(SHA256(left ‖ right)), a node of a Merkle tree. dst
// may be left or right.
func Sum64(dst, left, right *[32]byte) { sum64Generic(dst, left, right) }

// Sum64Pair sets a to SHA256(SHA256(a ‖ right)) and b to SHA256(SHA256(b ‖ right)), the nodes of two Merkle
// trees with a branch in common.
func Sum64Pair(a, b, right *[32]byte) {
	Sum64(a, a, right)
	Sum64(b, b, right)
}

// Sum is SHA256(SHA256(b)), as of a coinbase transaction. It does not allocate.
func Sum(b []byte) [32]byte { return sum(b) }

func assembly() []kernels.Implementation { return nil }
