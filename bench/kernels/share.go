package kernels

import (
	"crypto/sha256"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// A share of a busy block: a coinbase of 250 bytes and 12 branches.
const (
	coinbaseSize = 250
	branches     = 12
	scryptBatch  = 24 // shares that the server hashes together at most
)

// sha256dShare is coinbase, merkle branch and header by the kernel.
func sha256dShare(n uint64) {
	coinbase := make([]byte, coinbaseSize)
	var branch [branches][32]byte
	var header [kernels.HeaderSize]byte
	for range n {
		root := sha256d.Sum(coinbase)
		for i := range branch {
			sha256d.Sum64(&root, &root, &branch[i])
		}
		copy(header[36:], root[:])
		hash := sha256d.SumHeader(&header)
		coinbase[0] = hash[0] // the next share waits for this one
	}
}

// sha256dShareStraight is the same by the standard library.
func sha256dShareStraight(n uint64) {
	double := func(b []byte) [32]byte {
		once := sha256.Sum256(b)
		return sha256.Sum256(once[:])
	}
	coinbase := make([]byte, coinbaseSize)
	var branch [branches][32]byte
	var header [kernels.HeaderSize]byte
	var pair [64]byte
	for range n {
		root := double(coinbase)
		for i := range branch {
			copy(pair[:32], root[:])
			copy(pair[32:], branch[i][:])
			root = double(pair[:])
		}
		copy(header[36:], root[:])
		hash := double(header[:])
		coinbase[0] = hash[0]
	}
}

func scryptShares(n uint64) {
	headers, out := make([][kernels.HeaderSize]byte, scryptBatch), make([][32]byte, scryptBatch)
	for done := uint64(0); done < n; done += scryptBatch {
		headers[0][0]++
		scrypt.HashBatch(headers, out)
	}
}

func scryptShareStraight(n uint64) {
	var header [kernels.HeaderSize]byte
	for range n {
		header[0] = scrypt.Generic{}.Hash(&header)[0]
	}
}
