package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/adit-pool/adit/pool"
	chains "github.com/adit-pool/adit/pool/chain/all"
)

// firstHeight is the tip of the chain that a run begins with.
const firstHeight = 1000

// memoryNode is a full node that answers from memory: made-up blocks up to firstHeight, then what is added.
type memoryNode struct {
	mu     sync.Mutex
	height int64
	hashes map[int64]pool.Hash
	raw    map[pool.Hash][]byte
}

func newMemoryNode() *memoryNode {
	return &memoryNode{height: firstHeight, hashes: make(map[int64]pool.Hash), raw: make(map[pool.Hash][]byte)}
}

func madeUp(height int64) (h pool.Hash) {
	binary.BigEndian.PutUint64(h[:], uint64(height))
	return h
}

// add makes a block the tip.
func (n *memoryNode) add(id pool.Hash, raw []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.height++
	n.hashes[n.height], n.raw[id] = id, raw
}

func (n *memoryNode) at(height int64) pool.Hash {
	if h, ok := n.hashes[height]; ok {
		return h
	}
	return madeUp(height)
}

// Tip implements [pool.Node].
func (n *memoryNode) Tip(context.Context) (pool.Tip, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return pool.Tip{Hash: n.at(n.height), Height: n.height}, nil
}

// BlockHash implements [pool.Node].
func (n *memoryNode) BlockHash(_ context.Context, height int64) (pool.Hash, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if height < 0 || height > n.height {
		return pool.Hash{}, pool.ErrNoBlock
	}
	return n.at(height), nil
}

// BlockInfo implements [pool.Node].
func (n *memoryNode) BlockInfo(_ context.Context, id pool.Hash) (pool.BlockInfo, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for height, hash := range n.hashes {
		if hash == id {
			return pool.BlockInfo{Hash: id, Height: height, Confirmations: n.height - height + 1}, nil
		}
	}
	return pool.BlockInfo{}, pool.ErrNoBlock
}

// RawBlock implements [pool.Node].
func (n *memoryNode) RawBlock(_ context.Context, id pool.Hash) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if raw, ok := n.raw[id]; ok {
		return raw, nil
	}
	return nil, pool.ErrNoBlock
}

// SubmitBlock implements [pool.Node]: what a miner of the bench finds by chance is not wanted.
func (n *memoryNode) SubmitBlock(context.Context, pool.Hash, []byte) (pool.SubmitResult, string, error) {
	return pool.SubmitRejected, "bench", nil
}

// rewardScript is a witness program that nobody can spend from.
var rewardScript = append([]byte{0x00, 0x14}, make([]byte, 20)...)

func findChain() (pool.Chain, error) { return chains.Find("bitcoin", "regtest") }

// script is the payout script of miner i.
func script(i int) []byte {
	s := append([]byte{0x00, 0x14}, make([]byte, 20)...)
	binary.BigEndian.PutUint64(s[2:], uint64(i+1)*0x9e3779b97f4a7c15) // spread as hashes are
	binary.BigEndian.PutUint32(s[18:], uint32(i))
	return s
}

// template is work on the node's tip at a network difficulty.
func template(bits uint32, now int64) *pool.Template {
	return &pool.Template{
		Node: "memory", Height: firstHeight + 1, PrevHash: madeUp(firstHeight), Version: 0x20000000, Bits: bits,
		CurTime: uint32(now), MinTime: uint32(now) - 600, CoinbaseValue: 312_500_000,
	}
}

// found is a block of ours on the tip, as an engine would have assembled it.
func found(chain pool.Chain, t *pool.Template, epoch uint64) (*pool.Candidate, error) {
	prefix, suffix, err := chain.Coinbase(t, &pool.CoinbaseSpec{
		Epoch: epoch, ExtranonceSize: pool.ExtranonceSize, Outputs: []pool.Output{{Script: rewardScript, Value: t.CoinbaseValue}},
	})
	if err != nil {
		return nil, fmt.Errorf("make a coinbase: %w", err)
	}
	coinbase := append(append(prefix, make([]byte, pool.ExtranonceSize)...), suffix...)
	var header [80]byte
	pool.PutHeader(&header, t.Version, t.PrevHash, pool.DoubleSHA256(coinbase), t.CurTime, t.Bits, 1)
	raw, err := chain.Block(nil, t, &header, coinbase)
	if err != nil {
		return nil, fmt.Errorf("assemble a block: %w", err)
	}
	return &pool.Candidate{
		Pool: poolID, Height: t.Height, Hash: chain.BlockID(&header), PrevHash: t.PrevHash, Bits: t.Bits,
		Value: t.CoinbaseValue, Time: int64(t.CurTime) * 1000, Epoch: epoch, Block: raw,
	}, nil
}
