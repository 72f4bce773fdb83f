package payout

import (
	"context"

	"github.com/adit-pool/adit/pool"
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
	BlockHash(ctx context.Context, height int64) (pool.Hash, error)
	// RawBlock is the serialised block.
	RawBlock(ctx context.Context, id pool.Hash) ([]byte, error)
	// TxOut finds an unspent output, nil when it is spent or unknown. Without mempool only the active
	// chain counts; with it, outputs of unconfirmed transactions are found too.
	TxOut(ctx context.Context, txid pool.Hash, vout uint32, mempool bool) (*TxOut, error)
	// SendRawTransaction hands a signed transaction over; it may be called again with the same bytes.
	SendRawTransaction(ctx context.Context, raw []byte) error
	// EstimateFee is the fee in base units per 1000 virtual bytes to confirm within some blocks.
	EstimateFee(ctx context.Context, blocks int) (pool.Amount, error)
}
