package node

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

// header is a block header as a node tells it, checked to have the id and the work that it claims.
type header struct {
	id            pool.Hash
	height        int64
	confirmations int64
	prev          pool.Hash
	time          uint32
	bits          uint32
}

// RPC error codes for "no such block": of getblockheader and getblock in both families, of getblockhash
// in Core's and in btcd's.
const (
	codeNotFound   = -5
	codeOutOfRange = -1
	codeParameter  = -8
	// codeInternal is btcd's answer to a verbose getblockheader outside the active chain.
	codeInternal = -32603
)

func hasCode(err error, codes ...int) bool {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// header asks for the header with the given id.
func (c *Client) header(ctx context.Context, id pool.Hash) (header, error) {
	var v struct {
		Hash          pool.Hash  `json:"hash"`
		Confirmations int64      `json:"confirmations"`
		Height        int64      `json:"height"`
		Version       int64      `json:"version"`
		MerkleRoot    pool.Hash  `json:"merkleroot"`
		Previous      *pool.Hash `json:"previousblockhash"`
		Time          uint32     `json:"time"`
		Nonce         uint32     `json:"nonce"`
		Bits          string     `json:"bits"`
	}
	if err := c.calls.Call(ctx, "getblockheader", &v, id.String(), true); err != nil {
		if hasCode(err, codeNotFound) {
			return header{}, fmt.Errorf("%w: %w", pool.ErrNoBlock, err)
		}
		return header{}, err
	}
	bits, err := parseBits(v.Bits)
	if err != nil {
		return header{}, fmt.Errorf("header %s: %w", id, err)
	}
	var prev pool.Hash
	if v.Previous != nil {
		prev = *v.Previous
	}
	if v.Height < 0 {
		return header{}, fmt.Errorf("header %s is given height %d", id, v.Height)
	}
	var raw [80]byte
	pool.PutHeader(&raw, uint32(v.Version), prev, v.MerkleRoot, v.Time, bits, v.Nonce)
	if err := c.checkHeader(&raw, id); err != nil {
		return header{}, err
	}
	return header{id: id, height: v.Height, confirmations: v.Confirmations, prev: prev, time: v.Time, bits: bits}, nil
}

// checkHeader proves a header: it has the id and meets its own target.
func (c *Client) checkHeader(raw *[80]byte, id pool.Hash) error {
	if got := c.chain.BlockID(raw); got != id {
		return fmt.Errorf("node %s gives a header of block %s as that of %s", c.name, got, id)
	}
	target, err := pool.TargetFromBits(binary.LittleEndian.Uint32(raw[72:]))
	if err != nil {
		return fmt.Errorf("header %s: %w", id, err)
	}
	if pow := c.chain.PowHash(raw); id != c.params.Genesis && !target.Meets(&pow) {
		return fmt.Errorf("node %s gives a header %s without proof of work", c.name, id)
	}
	return nil
}

// parseBits reads 1..8 hex digits: btcd writes no leading zeros.
func parseBits(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) > 8 {
		return 0, fmt.Errorf("bits %.20q are not a compact target", s)
	}
	if _, err := pool.TargetFromBits(uint32(v)); err != nil {
		return 0, err
	}
	return uint32(v), nil
}

// Tip is the end of the node's active chain. When it has not changed this is one small call.
func (c *Client) Tip(ctx context.Context) (pool.Tip, error) {
	var id pool.Hash
	if err := c.calls.Call(ctx, "getbestblockhash", &id); err != nil {
		return pool.Tip{}, err
	}
	c.mu.Lock()
	known := c.tip
	c.mu.Unlock()
	if known.id != id {
		h, err := c.header(ctx, id)
		if err != nil {
			return pool.Tip{}, fmt.Errorf("header of the tip: %w", err)
		}
		c.mu.Lock()
		c.tip = h
		c.mu.Unlock()
		known = h
	}
	return pool.Tip{Hash: id, Height: known.height}, nil
}

// BlockHash is the active block at a height, or [pool.ErrNoBlock].
func (c *Client) BlockHash(ctx context.Context, height int64) (pool.Hash, error) {
	var id pool.Hash
	err := c.calls.Call(ctx, "getblockhash", &id, height)
	if hasCode(err, codeParameter, codeOutOfRange) {
		return pool.Hash{}, fmt.Errorf("block at height %d: %w", height, pool.ErrNoBlock)
	}
	if err == nil && id.IsZero() {
		err = fmt.Errorf("block at height %d: node %s names none", height, c.name)
	}
	return id, err
}

// BlockInfo finds a block by id, or [pool.ErrNoBlock]. Confirmations are -1 outside the active chain.
func (c *Client) BlockInfo(ctx context.Context, id pool.Hash) (pool.BlockInfo, error) {
	h, err := c.header(ctx, id)
	if hasCode(err, codeInternal) {
		return c.sideBlock(ctx, id)
	}
	if err != nil {
		return pool.BlockInfo{}, fmt.Errorf("find block %s: %w", id, err)
	}
	return pool.BlockInfo{Hash: id, Height: h.height, Confirmations: h.confirmations, Time: int64(h.time)}, nil
}

// maxSideBranch bounds the walk from a side block to the active chain.
const maxSideBranch = 144

// sideBlock finds a block that btcd has outside its active chain, of which it gives the bytes only; the
// height is counted from the first ancestor that is active.
func (c *Client) sideBlock(ctx context.Context, id pool.Hash) (pool.BlockInfo, error) {
	info := pool.BlockInfo{Hash: id, Confirmations: -1}
	at := id
	for steps := int64(0); steps < maxSideBranch; steps++ {
		var text string
		if err := c.calls.Call(ctx, "getblockheader", &text, at.String(), false); err != nil {
			if hasCode(err, codeNotFound) {
				err = fmt.Errorf("%w: %w", pool.ErrNoBlock, err)
			}
			return pool.BlockInfo{}, fmt.Errorf("find block %s: %w", id, err)
		}
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != 80 {
			return pool.BlockInfo{}, fmt.Errorf("find block %s: header of %d hex digits", id, len(text))
		}
		if err := c.checkHeader((*[80]byte)(raw), at); err != nil {
			return pool.BlockInfo{}, err
		}
		if steps == 0 {
			info.Time = int64(binary.LittleEndian.Uint32(raw[68:]))
		}
		at = pool.Hash(raw[4:36])
		parent, err := c.header(ctx, at)
		if err == nil {
			info.Height = parent.height + steps + 1
			return info, nil
		}
		if !hasCode(err, codeInternal) {
			return pool.BlockInfo{}, fmt.Errorf("find block %s: %w", id, err)
		}
	}
	return pool.BlockInfo{}, fmt.Errorf("find block %s: its branch left the active chain more than %d blocks ago", id, maxSideBranch)
}

// RawBlock is the serialised block, or [pool.ErrNoBlock].
func (c *Client) RawBlock(ctx context.Context, id pool.Hash) ([]byte, error) {
	var text string
	if err := c.calls.Call(ctx, "getblock", &text, id.String(), 0); err != nil {
		if hasCode(err, codeNotFound) {
			err = fmt.Errorf("%w: %w", pool.ErrNoBlock, err)
		}
		return nil, fmt.Errorf("read block %s: %w", id, err)
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) < 81 {
		return nil, fmt.Errorf("read block %s: node %s gives %d hex digits: %w", id, c.name, len(text), rpc.ErrResponse)
	}
	if got := c.chain.BlockID((*[80]byte)(raw[:80])); got != id {
		return nil, fmt.Errorf("read block %s: node %s gives block %s", id, c.name, got)
	}
	return raw, nil
}
