package build

import (
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// Kinds of inputs and outputs.
const (
	KindBaton    = "baton"
	KindPart     = "part" // what a fan made for one transaction of its run
	KindCoinbase = "coinbase"
	KindChange   = "change"
	KindReceipt  = "receipt" // sent to the pool by somebody
	KindPayee    = "payee"
)

// Outpoint names a transaction output.
type Outpoint struct {
	TxID pool.Hash `json:"txid"`
	Vout uint32    `json:"vout"`
}

// String writes txid:vout.
func (o Outpoint) String() string { return fmt.Sprintf("%s:%d", o.TxID, o.Vout) }

// Input is a coin that a transaction spends.
type Input struct {
	Outpoint
	Value  pool.Amount `json:"value"`
	Kind   string      `json:"kind"`             // KindBaton, KindPart, KindCoinbase, KindChange or KindReceipt
	Script Hex         `json:"script,omitempty"` // missing in documents of format 1: the reward script
	Block  *pool.Hash  `json:"block,omitempty"`  // of a coinbase
	Height int64       `json:"height,omitempty"` // of Block
	Batch  string      `json:"batch,omitempty"`  // that made a baton, part or change
}

// Output is an output of a transaction; its place in the list is its vout.
type Output struct {
	Script Hex         `json:"script"`
	Value  pool.Amount `json:"value"`
	Kind   string      `json:"kind"` // KindPayee, KindBaton, KindPart or KindChange
}

// Coin is an input with what its signatures take.
type Coin struct {
	Input
	Witness int64 // bytes of the input's witness at its largest
}
