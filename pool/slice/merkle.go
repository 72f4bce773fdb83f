package slice

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/merkle"
)

// leaf is an account's leaf in a slice's tree; see the package comment.
func leaf(w *pool.Weight) merkle.Node[pool.Work] {
	var buf [1 + 20 + 16]byte
	b := appendWork(append(buf[:1], w.Account[:]...), w.Score)
	return merkle.Node[pool.Work]{Hash: sha256.Sum256(b), Sum: w.Score}
}

// join is a node over two in a slice's tree.
func join(l, r merkle.Node[pool.Work]) (merkle.Node[pool.Work], error) {
	sum, err := l.Sum.Add(r.Sum)
	if err != nil {
		return merkle.Node[pool.Work]{}, fmt.Errorf("sum scores: %w", err)
	}
	var buf [1 + 32 + 32 + 16]byte
	buf[0] = 1
	b := append(append(buf[:1], l.Hash[:]...), r.Hash[:]...)
	return merkle.Node[pool.Work]{Hash: sha256.Sum256(appendWork(b, sum)), Sum: sum}, nil
}

func tree(weights []pool.Weight) []merkle.Node[pool.Work] {
	out := make([]merkle.Node[pool.Work], len(weights))
	for i := range weights {
		out[i] = leaf(&weights[i])
	}
	return out
}

// MerkleSum is the root and the sum over weights; see the package comment.
func MerkleSum(weights []pool.Weight) (root [32]byte, sum pool.Work, err error) {
	node, err := merkle.Root(tree(weights), join)
	return node.Hash, node.Sum, err
}

// Path lists the neighbours of an account's leaf in a slice's tree; ok is false when it has no leaf.
func Path(weights []pool.Weight, account pool.AccountID) (path []merkle.Step[pool.Work], ok bool, err error) {
	i := slices.IndexFunc(weights, func(w pool.Weight) bool { return w.Account == account })
	if i < 0 {
		return nil, false, nil
	}
	path, _, err = merkle.Path(tree(weights), i, join)
	return path, true, err
}

// Climb is the root, and its sum, of the slice's tree that an account's weight and its path are from.
func Climb(w pool.Weight, path []merkle.Step[pool.Work]) (root [32]byte, sum pool.Work, err error) {
	node, err := merkle.Climb(leaf(&w), path, join)
	return node.Hash, node.Sum, err
}

// ChainLeaf stands for a whole slice in the tree over all slices: SHA-256(0x00 ‖ number 8 ‖ hash of the
// record ‖ Merkle-sum root).
func ChainLeaf(number uint64, record, root [32]byte) merkle.Node[struct{}] {
	var buf [1 + 8 + 32 + 32]byte
	b := binary.LittleEndian.AppendUint64(buf[:1], number)
	return merkle.Node[struct{}]{Hash: sha256.Sum256(append(append(b, record[:]...), root[:]...))}
}

// ChainJoin is a node in the tree over all slices: SHA-256(0x01 ‖ left ‖ right).
func ChainJoin(l, r merkle.Node[struct{}]) (merkle.Node[struct{}], error) {
	var buf [1 + 32 + 32]byte
	buf[0] = 1
	return merkle.Node[struct{}]{Hash: sha256.Sum256(append(append(buf[:1], l.Hash[:]...), r.Hash[:]...))}, nil
}
