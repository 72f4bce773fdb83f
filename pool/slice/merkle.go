package slice

import (
	"crypto/sha256"
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// MerkleSum is the root and the sum over weights; see the package comment.
func MerkleSum(weights []pool.Weight) (root [32]byte, sum pool.Work, err error) {
	type node struct {
		hash [32]byte
		sum  pool.Work
	}
	if len(weights) == 0 {
		return root, sum, nil
	}
	level := make([]node, len(weights))
	buf := make([]byte, 0, 1+32+32+16)
	for i := range weights {
		buf = append(append(buf[:0], 0), weights[i].Account[:]...)
		level[i] = node{sha256.Sum256(appendWork(buf, weights[i].Score)), weights[i].Score}
	}
	for len(level) > 1 {
		next := level[:0]
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				next = append(next, level[i])
				break
			}
			both, err := level[i].sum.Add(level[i+1].sum)
			if err != nil {
				return root, sum, fmt.Errorf("sum scores: %w", err)
			}
			buf = append(append(append(buf[:0], 1), level[i].hash[:]...), level[i+1].hash[:]...)
			next = append(next, node{sha256.Sum256(appendWork(buf, both)), both})
		}
		level = next
	}
	return level[0].hash, level[0].sum, nil
}
