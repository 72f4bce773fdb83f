package payout

import (
	"context"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node"
)

// TxOut is an unspent output as a node sees it.
type TxOut struct {
	Value         pool.Amount
	Script        []byte
	Confirmations int64 // 0: in the memory pool
	Coinbase      bool
}

// Node is what a payout asks of a full node. No call needs a transaction index or a wallet. Errors are
// never read as "not sent" or "not there": only answers are.
type Node interface {
	Tip(ctx context.Context) (pool.Tip, error)
	// BlockHash is the active block at a height, or pool.ErrNoBlock.
	BlockHash(ctx context.Context, height int64) (pool.Hash, error)
	// RawBlock is the serialised block.
	RawBlock(ctx context.Context, id pool.Hash) ([]byte, error)
	// TxOut finds an unspent output, nil when it is spent or unknown. Without mempool only the active
	// chain counts; with it, outputs of unconfirmed transactions are found too.
	TxOut(ctx context.Context, txid pool.Hash, vout uint32, mempool bool) (*TxOut, error)
	// Spent reports whether a transaction in the memory pool spends an output of a transaction that the
	// memory pool has.
	Spent(ctx context.Context, txid pool.Hash, vout uint32) (bool, error)
	// SendRawTransaction hands a signed transaction over; it may be called again with the same bytes.
	SendRawTransaction(ctx context.Context, raw []byte) error
	// EstimateFee is the fee in base units per 1000 virtual bytes to confirm within some blocks, 0 when
	// the node cannot tell.
	EstimateFee(ctx context.Context, blocks int) (pool.Amount, error)
}

// client makes a Node of one full node's RPC client.
type client struct{ *node.Client }

// FromClient lets payouts use a full node of the pool.
func FromClient(c *node.Client) Node { return client{c} }

// TxOut is gettxout.
func (c client) TxOut(ctx context.Context, txid pool.Hash, vout uint32, mempool bool) (*TxOut, error) {
	out, found, err := c.GetTxOut(ctx, txid, vout, mempool)
	if err != nil || !found {
		return nil, err
	}
	return &TxOut{out.Value, out.Script, out.Confirmations, out.Coinbase}, nil
}

// Spent is gettxspendingprevout; nodes of the Core family that lack it hide such outputs from gettxout.
func (c client) Spent(ctx context.Context, txid pool.Hash, vout uint32) (bool, error) {
	spent, supported, err := c.SpentInMempool(ctx, txid, vout)
	if err != nil || supported {
		return spent, err
	}
	_, found, err := c.GetTxOut(ctx, txid, vout, true)
	return err == nil && !found, err
}

// SendRawTransaction is sendrawtransaction.
func (c client) SendRawTransaction(ctx context.Context, raw []byte) error {
	_, _, err := c.Client.SendRawTransaction(ctx, raw)
	return err
}

// EstimateFee is estimatesmartfee, or estimatefee where the node has only that. It is 0 when the node has
// no estimate.
func (c client) EstimateFee(ctx context.Context, blocks int) (pool.Amount, error) {
	rate, ok, err := c.EstimateFeeRate(ctx, blocks)
	if err != nil || !ok {
		return 0, err
	}
	return rate, nil
}
