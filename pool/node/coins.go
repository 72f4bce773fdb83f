package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

// TxOut is an unspent output.
type TxOut struct {
	Value         pool.Amount
	Script        []byte
	Confirmations int64 // 0: in the mempool only
	Coinbase      bool
}

// GetTxOut finds an unspent output; found is false when it is spent or was never there. With mempool the
// node looks into its mempool too: Core then hides outputs that a transaction there spends, btcd does
// not, but shows outputs made there.
func (c *Client) GetTxOut(ctx context.Context, txid pool.Hash, vout uint32, mempool bool) (out TxOut, found bool, err error) {
	var v *struct {
		Confirmations int64       `json:"confirmations"`
		Value         json.Number `json:"value"`
		Script        struct {
			Hex string `json:"hex"`
		} `json:"scriptPubKey"`
		Coinbase bool `json:"coinbase"`
	}
	err = c.calls.Call(ctx, "gettxout", &v, txid.String(), vout, mempool)
	if hasCode(err, codeNotFound) {
		return TxOut{}, false, nil // btcd: no such output of a mempool transaction
	}
	if err != nil || v == nil {
		return TxOut{}, false, err
	}
	out = TxOut{Confirmations: v.Confirmations, Coinbase: v.Coinbase}
	if out.Value, err = parseCoins(v.Value, c.params.Decimals); err != nil {
		return TxOut{}, false, fmt.Errorf("output %s:%d: %w", txid, vout, err)
	}
	if out.Script, err = hex.DecodeString(v.Script.Hex); err != nil {
		return TxOut{}, false, fmt.Errorf("script of output %s:%d: %w", txid, vout, err)
	}
	return out, true, nil
}

// parseCoins reads a JSON number of coins, exponents included (btcd writes 1e-8), as base units. It is
// exact: a fraction of a base unit is an error.
func parseCoins(n json.Number, decimals int) (pool.Amount, error) {
	r, err := baseUnits(n, decimals)
	if err != nil {
		return 0, err
	}
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, fmt.Errorf("amount %s is no whole number of base units", n)
	}
	return pool.Amount(r.Num().Int64()), nil
}

// baseUnits is n * 10^decimals, exactly.
func baseUnits(n json.Number, decimals int) (*big.Rat, error) {
	text := n.String()
	if len(text) > 40 || strings.Trim(text, "0123456789.eE+-") != "" {
		return nil, fmt.Errorf("amount %.40q is not a number", text)
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 && len(text)-i > 4 {
		return nil, fmt.Errorf("amount %s is out of range", text) // big.Rat would build its power of ten
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("amount %q is not a number", text)
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	return r.Mul(r, new(big.Rat).SetInt(unit)), nil
}

// Transaction is a transaction as a node has it.
type Transaction struct {
	Raw           []byte
	Confirmations int64     // 0: in the mempool
	BlockHash     pool.Hash // zero in the mempool
}

// RawTransaction finds a transaction in the mempool or in a block; found is false when the node has no
// such one. Without the node's transaction index it is [ErrNoTxIndex] unless the mempool holds it.
func (c *Client) RawTransaction(ctx context.Context, txid pool.Hash) (tx Transaction, found bool, err error) {
	var v struct {
		Hex           string     `json:"hex"`
		Confirmations int64      `json:"confirmations"`
		BlockHash     *pool.Hash `json:"blockhash"`
	}
	if err := c.calls.Call(ctx, "getrawtransaction", &v, txid.String(), 1); err != nil {
		var e *rpc.Error
		switch {
		case !errors.As(err, &e) || e.Code != codeNotFound:
			return Transaction{}, false, err
		case strings.Contains(e.Message, "txindex"), strings.Contains(e.Message, "index"):
			return Transaction{}, false, fmt.Errorf("%w (%w)", ErrNoTxIndex, err)
		}
		return Transaction{}, false, nil
	}
	raw, err := hex.DecodeString(v.Hex)
	if err != nil {
		return Transaction{}, false, fmt.Errorf("transaction %s: %w", txid, err)
	}
	if got, err := txID(raw); err != nil || got != txid {
		return Transaction{}, false, fmt.Errorf("transaction %s: the node gives %s: %w", txid, got, errors.Join(rpc.ErrResponse, err))
	}
	tx = Transaction{Raw: raw, Confirmations: v.Confirmations}
	if v.BlockHash != nil {
		tx.BlockHash = *v.BlockHash
	}
	return tx, true, nil
}

func txID(raw []byte) (pool.Hash, error) {
	var msg wire.MsgTx
	r := bytes.NewReader(raw)
	if err := msg.Deserialize(r); err != nil {
		return pool.Hash{}, err
	}
	if r.Len() != 0 {
		return pool.Hash{}, fmt.Errorf("%d bytes behind the transaction's end", r.Len())
	}
	return pool.Hash(msg.TxHash()), nil
}

// SendResult is where a transaction was after it was sent.
type SendResult int

const (
	// SendNothing: it was not taken.
	SendNothing SendResult = iota
	// SendAccepted: it is in the node's mempool now.
	SendAccepted
	// SendKnown: it was in the mempool before.
	SendKnown
	// SendMined: it is in a block already.
	SendMined
)

// String is the word used in logs.
func (r SendResult) String() string {
	return [...]string{"nothing", "accepted", "known", "mined"}[r]
}

// Codes with which both families refuse a transaction.
const (
	codeTxError    = -25
	codeTxRejected = -26
	codeTxMined    = -27
)

// SendRawTransaction broadcasts a transaction. That the node has it already is a success. A refusal
// wraps [ErrTxRejected]; any other error leaves open whether it was sent, and so does a refusal for
// missing inputs when the transaction may be mined: look it up by its txid.
func (c *Client) SendRawTransaction(ctx context.Context, raw []byte) (pool.Hash, SendResult, error) {
	txid, err := txID(raw)
	if err != nil {
		return pool.Hash{}, SendNothing, fmt.Errorf("%w: it cannot be parsed: %w", ErrTxRejected, err)
	}
	var said pool.Hash
	err = c.calls.Call(ctx, "sendrawtransaction", &said, hex.EncodeToString(raw))
	if err == nil {
		if said != txid {
			return txid, SendNothing, fmt.Errorf("send transaction %s: node %s answers for %s: %w", txid, c.name, said, rpc.ErrResponse)
		}
		return txid, SendAccepted, nil
	}
	var e *rpc.Error
	if !errors.As(err, &e) {
		return txid, SendNothing, fmt.Errorf("send transaction %s: %w", txid, err)
	}
	words := strings.ToLower(e.Message)
	switch {
	case e.Code == codeTxMined, strings.Contains(words, "already in block chain"), strings.Contains(words, "already in utxo set"), strings.Contains(words, "transaction already exists"):
		return txid, SendMined, nil
	case strings.Contains(words, "already have transaction"), strings.Contains(words, "already-in-mempool"), strings.Contains(words, "already-known"):
		return txid, SendKnown, nil
	case e.Code == codeTxError, e.Code == codeTxRejected, e.Code == codeDecode:
		return txid, SendNothing, fmt.Errorf("send transaction %s: %w: %w", txid, ErrTxRejected, err)
	}
	return txid, SendNothing, fmt.Errorf("send transaction %s: %w", txid, err)
}

// TestMempoolAccept asks whether a transaction would be taken, without sending it. supported is false
// when the node has no such call; reason is the node's word for a refusal.
func (c *Client) TestMempoolAccept(ctx context.Context, raw []byte) (allowed bool, reason string, supported bool, err error) {
	var v []struct {
		Allowed bool   `json:"allowed"`
		Reason  string `json:"reject-reason"`
	}
	err = c.calls.Call(ctx, "testmempoolaccept", &v, []string{hex.EncodeToString(raw)}, 0.1)
	switch {
	case hasCode(err, rpc.CodeMethodNotFound):
		return false, "", false, nil
	case err != nil:
		return false, "", true, err
	case len(v) != 1:
		return false, "", true, fmt.Errorf("test transaction: node %s answers for %d: %w", c.name, len(v), rpc.ErrResponse)
	}
	return v[0].Allowed, v[0].Reason, true, nil
}

// maxFeeRate is a fee rate in base units per 1000 vbytes that nobody pays in earnest.
const maxFeeRate = 10_000_000

// EstimateFeeRate asks for the fee rate, in base units per 1000 virtual bytes, that confirms within the
// given number of blocks. ok is false when the node cannot tell: use a configured rate.
func (c *Client) EstimateFeeRate(ctx context.Context, blocks int) (rate pool.Amount, ok bool, err error) {
	var smart struct {
		FeeRate json.Number `json:"feerate"` // coins per 1000 vbytes, absent without data
	}
	err = c.calls.Call(ctx, "estimatesmartfee", &smart, blocks)
	number := smart.FeeRate
	if hasCode(err, rpc.CodeMethodNotFound) { // btcd
		err = c.calls.Call(ctx, "estimatefee", &number, blocks)
	}
	var refusal *rpc.Error
	if errors.As(err, &refusal) {
		return 0, false, nil // no data yet, or switched off
	}
	if err != nil || number == "" {
		return 0, false, err
	}
	r, err := baseUnits(number, c.params.Decimals)
	if err != nil {
		return 0, false, fmt.Errorf("fee estimate: %w", err)
	}
	units, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		units.Add(units, big.NewInt(1)) // rounded up: an estimate may have any fraction
	}
	if units.Sign() <= 0 || units.Cmp(big.NewInt(maxFeeRate)) > 0 {
		return 0, false, nil
	}
	return pool.Amount(units.Int64()), true, nil
}

// SpentInMempool reports whether a transaction in the mempool spends an output. supported is false when the
// node has no gettxspendingprevout.
func (c *Client) SpentInMempool(ctx context.Context, txid pool.Hash, vout uint32) (spent, supported bool, err error) {
	type outpoint struct {
		TxID string `json:"txid"`
		Vout uint32 `json:"vout"`
	}
	var v []struct {
		SpendingTxID string `json:"spendingtxid"`
	}
	err = c.calls.Call(ctx, "gettxspendingprevout", &v, []outpoint{{txid.String(), vout}})
	switch {
	case hasCode(err, rpc.CodeMethodNotFound):
		return false, false, nil
	case err != nil:
		return false, true, err
	case len(v) != 1:
		return false, true, fmt.Errorf("who spends %s:%d: node %s answers for %d outputs: %w", txid, vout, c.name, len(v), rpc.ErrResponse)
	}
	return v[0].SpendingTxID != "", true, nil
}
