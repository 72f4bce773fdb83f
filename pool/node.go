package pool

import (
	"context"
	"errors"
)

// SubmitResult is what one node said about a block, in one vocabulary for all dialects.
type SubmitResult int

const (
	// SubmitUnknown is no answer: time-out, "inconclusive", or a success that the node gives to orphans
	// too. The block must be read back.
	SubmitUnknown SubmitResult = iota
	// SubmitAccepted: the block is in the node's active chain, read back.
	SubmitAccepted
	// SubmitSideChain: the node has the valid block, but another one is active at its height.
	SubmitSideChain
	// SubmitRejected: the node proved the block invalid.
	SubmitRejected
)

// String is the word used in logs and on pages.
func (r SubmitResult) String() string {
	return [...]string{"unknown", "accepted", "side chain", "rejected"}[r]
}

// ErrNoBlock reports that a node does not know a block or height.
var ErrNoBlock = errors.New("block not known to the node")

// BlockInfo is a node's view of one block.
type BlockInfo struct {
	Hash          Hash
	Height        int64
	Confirmations int64 // -1: known, but not in the active chain
	Time          int64 // header time, Unix seconds
}

// Tip is the active chain's end as a node sees it.
type Tip struct {
	Hash   Hash
	Height int64
}

// Node is what the pool asks of one full node, or of a ring of several acting as one. Every call
// observes ctx's deadline.
type Node interface {
	Tip(ctx context.Context) (Tip, error)
	// BlockHash is the active block at a height, or ErrNoBlock.
	BlockHash(ctx context.Context, height int64) (Hash, error)
	// BlockInfo finds a block by id, or ErrNoBlock.
	BlockInfo(ctx context.Context, id Hash) (BlockInfo, error)
	// RawBlock is the serialised block.
	RawBlock(ctx context.Context, id Hash) ([]byte, error)
	// SubmitBlock hands a block over and reads it back. reason is the node's own word.
	SubmitBlock(ctx context.Context, id Hash, block []byte) (result SubmitResult, reason string, err error)
}
