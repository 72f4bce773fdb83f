// Package merkle builds trees of hashes that carry sums, and proves what is in one. What a leaf and a node
// hash, and what is summed, is for the caller: see packages slice, allocation and ledger.
//
// Pairs are taken from the left; an odd last one goes up as it is. The root of n leaves is therefore that of
// the largest power of two of them joined with the root of the rest, and can be kept with log2(n) nodes while
// leaves are added: see [Frontier].
package merkle

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Hash is a SHA-256, written as hex digits.
type Hash [32]byte

// MarshalText writes 64 hex digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads 64 hex digits.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) {
		return fmt.Errorf("hash of %d digits", len(b))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// String writes 64 hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Node is a leaf or an inner node: its hash, and what is under it.
type Node[S any] struct {
	Hash Hash `json:"hash"`
	Sum  S    `json:"sum,omitzero"`
}

// Join makes the node over two. It fails when the sum leaves its range.
type Join[S any] func(left, right Node[S]) (Node[S], error)

// Step is one neighbour on the way from a leaf to the root.
type Step[S any] struct {
	Left bool `json:"left,omitempty"` // the neighbour stands on the left
	Node[S]
}

// MaxSteps is more than the height of any tree.
const MaxSteps = 64

// ErrSteps reports a path longer than any tree is high.
var ErrSteps = errors.New("merkle path is too long")

// Root joins all leaves; without any it is the zero node. leaves is used up.
func Root[S any](leaves []Node[S], join Join[S]) (root Node[S], err error) {
	_, root, err = Path(leaves, -1, join)
	return root, err
}

// Path joins all leaves and lists the neighbours of one on its way up. leaves is used up.
func Path[S any](leaves []Node[S], index int, join Join[S]) (path []Step[S], root Node[S], err error) {
	if len(leaves) == 0 {
		return nil, root, nil
	}
	level := leaves
	for len(level) > 1 {
		if index >= 0 {
			if other := index ^ 1; other < len(level) {
				path = append(path, Step[S]{other < index, level[other]})
			}
			index >>= 1
		}
		next := level[:0]
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				next = append(next, level[i])
				break
			}
			both, err := join(level[i], level[i+1])
			if err != nil {
				return nil, root, err
			}
			next = append(next, both)
		}
		level = next
	}
	return path, level[0], nil
}

// Climb joins a leaf with its neighbours: the root of the tree that they are from.
func Climb[S any](leaf Node[S], path []Step[S], join Join[S]) (Node[S], error) {
	if len(path) > MaxSteps {
		return Node[S]{}, ErrSteps
	}
	at, err := leaf, error(nil)
	for _, s := range path {
		if s.Left {
			at, err = join(s.Node, at)
		} else {
			at, err = join(at, s.Node)
		}
		if err != nil {
			return Node[S]{}, err
		}
	}
	return at, nil
}

// Frontier keeps the root of a tree that grows. The zero value has no leaves.
type Frontier[S any] struct {
	peaks []peak[S] // of falling sizes, powers of two
	count uint64
}

type peak[S any] struct {
	size uint64
	Node[S]
}

// Add puts a leaf behind the others.
func (f *Frontier[S]) Add(leaf Node[S], join Join[S]) error {
	p := peak[S]{1, leaf}
	for n := len(f.peaks); n > 0 && f.peaks[n-1].size == p.size; n-- {
		both, err := join(f.peaks[n-1].Node, p.Node)
		if err != nil {
			return err
		}
		p = peak[S]{2 * p.size, both}
		f.peaks = f.peaks[:n-1]
	}
	f.peaks = append(f.peaks, p)
	f.count++
	return nil
}

// Count is the number of leaves.
func (f *Frontier[S]) Count() uint64 { return f.count }

// Root is what [Root] gives for the same leaves.
func (f *Frontier[S]) Root(join Join[S]) (root Node[S], err error) {
	for i := len(f.peaks) - 1; i >= 0; i-- {
		if i == len(f.peaks)-1 {
			root = f.peaks[i].Node
			continue
		}
		if root, err = join(f.peaks[i].Node, root); err != nil {
			return root, err
		}
	}
	return root, nil
}
