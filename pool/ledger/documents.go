package ledger

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// The sets of documents that settlement writes, and the one of payouts, whose documents are package payout's.
const (
	SetBlocks   = "blocks"
	SetAccounts = "accounts"
	SetFees     = "fees"
	SetPayouts  = "payouts"
)

// BlockState is how far a found block has come.
type BlockState string

// The states of a block. Immature, mature and orphaned are left and come back with the chain, until the
// block lies too deep for that.
const (
	BlockSubmitted BlockState = "submitted" // found; not yet seen in the active chain
	BlockImmature  BlockState = "immature"  // in the active chain, credited, not yet spendable
	BlockMature    BlockState = "mature"    // its credits are available
	BlockOrphaned  BlockState = "orphaned"  // another block is active at its height; credits reversed
	BlockRejected  BlockState = "rejected"  // no node knows it
)

// BlockDoc is the document of one found block, by its hash, in the set "blocks". Rank is the height.
type BlockDoc struct {
	Hash   pool.Hash   `json:"hash"`
	Height int64       `json:"height"`
	Time   int64       `json:"time"` // Unix milliseconds: found, or from the header when learnt from the chain
	State  BlockState  `json:"state"`
	Step   int         `json:"step"` // state changes so far
	Bits   uint32      `json:"bits,omitempty"`
	Value  pool.Amount `json:"value"` // paid to the pool's own scripts; before the block is read back what the template promised
	Fee    pool.Amount `json:"fee"`
	Carry  pool.Amount `json:"carry"`

	FeeVersion int    `json:"fee_version"` // in force when it was found
	FeePPM     uint32 `json:"fee_ppm"`
	// AccountFees are those of accounts with a fee of their own, sorted by account.
	AccountFees []AccountFee `json:"account_fees,omitempty"`
	Scheme      string       `json:"scheme"`

	Finder *pool.AccountID `json:"finder,omitempty"` // nil when learnt from the chain
	Worker string          `json:"worker,omitempty"`
	Epoch  uint64          `json:"epoch,string,omitempty"` // of the share that met the target
	Seq    uint64          `json:"seq,omitempty"`          // 0 when it was not journalled

	Window  *BlockWindow  `json:"window,omitempty"` // nil for solo
	Score   pool.Work     `json:"score,omitzero"`   // of all in the window; not in blocks of older versions
	Credits []pool.Credit `json:"credits,omitempty"`
	Scores  []pool.Work   `json:"scores,omitempty"` // in the window, of the accounts in Credits
	// PaidByCoinbase are outputs to others. Of a solo block they are no debt of the pool; of a shared window they
	// pay what the pool owed, and Direct is their sum.
	PaidByCoinbase []pool.Credit `json:"paid_by_coinbase,omitempty"`
	Direct         pool.Amount   `json:"direct,omitempty"`
	Coinbase       *Coinbase     `json:"coinbase,omitempty"`        // once read from the chain
	Allocation     Hex           `json:"allocation,omitempty"`      // checksum of the published allocation file
	AllocationRoot Hex           `json:"allocation_root,omitempty"` // of the Merkle-sum tree over its rows
}

// Reward is what the block brings: credits, fee and carry together.
func (doc *BlockDoc) Reward() pool.Amount { return doc.Value + doc.Direct }

// BlockWindow is the stretch of slices that a block's reward is split over, fixed when it was learnt of.
type BlockWindow struct {
	First uint64    `json:"first"` // slice numbers, inclusive
	Last  uint64    `json:"last"`
	Rest  pool.Work `json:"rest"` // score taken from slice First
}

// Coinbase names the outputs of a block that pay the pool: inputs of payouts to come.
type Coinbase struct {
	TxID    pool.Hash `json:"txid"`
	Outputs []Output  `json:"outputs"`
}

// Output is one of the pool's own outputs.
type Output struct {
	Index  uint32      `json:"index"`
	Value  pool.Amount `json:"value"`
	Script Hex         `json:"script"`
}

// AccountDoc is the document of one account, by its id, in the set "accounts". It is posted before the
// account is first credited, so that the book alone says whom to pay.
type AccountDoc struct {
	Account pool.AccountID `json:"account"`
	Script  Hex            `json:"script"`
	Address string         `json:"address,omitempty"` // usual spelling, "" when the script has none
}

// Hex is bytes written as hex digits.
type Hex []byte

// MarshalText writes hex digits.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText reads hex digits.
func (h *Hex) UnmarshalText(b []byte) error {
	v, err := hex.AppendDecode(nil, b)
	if err != nil {
		return fmt.Errorf("hex: %w", err)
	}
	*h = v
	return nil
}

// Body writes a document for [Entry.Body].
func Body(doc any) (json.RawMessage, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write a ledger document: %w", err)
	}
	return b, nil
}

// Decode reads a document of the book into doc; ok is false when there is none.
func Decode(b *Book, set, id string, doc any) (ok bool, err error) {
	body, ok := b.Doc(set, id)
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(body, doc); err != nil {
		return false, fmt.Errorf("read ledger document %s/%s: %w", set, id, err)
	}
	return true, nil
}
