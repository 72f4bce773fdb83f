package payout

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/pool"
)

// State is how far a batch has come.
type State string

// The states of a batch.
const (
	StateDraft     State = "draft"     // payees and amounts chosen, nothing moved
	StateFrozen    State = "frozen"    // amounts moved from available to in payout
	StateApproved  State = "approved"  // allowed by the approval policy
	StateBuilt     State = "built"     // inputs locked, transaction id known, unsigned
	StateSigned    State = "signed"    // signed bytes stored, not sent
	StateBroadcast State = "broadcast" // sent, or about to be
	StateConfirmed State = "confirmed" // deep enough to be booked as paid
	StateFinal     State = "final"     // deep enough to be no longer watched

	StateCancelled  State = "cancelled"  // given up before it was signed, amounts available again
	StateReplaced   State = "replaced"   // another transaction with the same inputs and payees took its place
	StateConflicted State = "conflicted" // an input was spent by another transaction: a person must look
)

// docVersion is the format of BatchDoc.
const docVersion = 1

// Kinds of inputs and outputs.
const (
	KindBaton    = "baton"
	KindCoinbase = "coinbase"
	KindChange   = "change"
	KindPayee    = "payee"
)

// Outpoint names a transaction output.
type Outpoint struct {
	TxID pool.Hash `json:"txid"`
	Vout uint32    `json:"vout"`
}

// String writes txid:vout.
func (o Outpoint) String() string { return fmt.Sprintf("%s:%d", o.TxID, o.Vout) }

// Input is a coin that a batch spends.
type Input struct {
	Outpoint
	Value  pool.Amount `json:"value"`
	Kind   string      `json:"kind"`             // KindBaton, KindCoinbase or KindChange
	Block  *pool.Hash  `json:"block,omitempty"`  // of a coinbase
	Height int64       `json:"height,omitempty"` // of Block
	Batch  string      `json:"batch,omitempty"`  // that made a baton or change
}

// Output is an output of a batch's transaction; its place in the list is its vout.
type Output struct {
	Script hexBytes    `json:"script"`
	Value  pool.Amount `json:"value"`
	Kind   string      `json:"kind"` // KindPayee, KindBaton or KindChange
}

// Payee is one account's part of a batch. Accounts with the same script share an output.
type Payee struct {
	Account pool.AccountID `json:"account"`
	Address string         `json:"address"`
	Script  hexBytes       `json:"script"`
	Amount  pool.Amount    `json:"amount"`
	Vout    *uint32        `json:"vout,omitempty"` // known from Built on
	Reason  string         `json:"reason,omitempty"`
}

// Step is one entry of a batch's history.
type Step struct {
	State State  `json:"state"`
	Time  int64  `json:"time"` // Unix milliseconds
	Note  string `json:"note,omitempty"`
}

// Approval allows a batch.
type Approval struct {
	By        string   `json:"by"`
	Policy    string   `json:"policy"`
	Time      int64    `json:"time"` // Unix milliseconds
	Signature hexBytes `json:"signature,omitempty"`
}

// BatchDoc is one batch as its newest ledger entry left it: the body of subject "payouts". Amounts are
// base units.
type BatchDoc struct {
	V         int         `json:"v"`
	ID        string      `json:"id"` // 64 hex digits, see BatchID
	Pool      string      `json:"pool"`
	State     State       `json:"state"`
	Steps     []Step      `json:"steps"`
	Seq       uint64      `json:"seq"` // ledger sequence that the balances were read at
	Threshold pool.Amount `json:"threshold"`
	Payees    []Payee     `json:"payees"`
	Held      []Payee     `json:"held,omitempty"`      // over the threshold but not paid, with the reason
	Left      int         `json:"left,omitempty"`      // payees that wait for the next run: no room
	Total     pool.Amount `json:"total"`               // sum over Payees
	Approvals []Approval  `json:"approvals,omitempty"` // from Approved on

	// From Built on.
	Inputs  []Input     `json:"inputs,omitempty"`
	Outputs []Output    `json:"outputs,omitempty"`
	FeeRate pool.Amount `json:"fee_rate,omitempty"` // per 1000 virtual bytes
	VSize   int64       `json:"vsize,omitempty"`    // virtual bytes at the largest signature size
	Fee     pool.Amount `json:"fee,omitempty"`
	TxID    *pool.Hash  `json:"txid,omitempty"`
	PSBT    []byte      `json:"psbt,omitempty"` // BIP 174, only in state Built

	// From Signed on.
	Raw hexBytes `json:"raw,omitempty"` // signed transaction

	// From Confirmed on: the block that holds it or, learnt from the payout after it, a later one.
	Block  *pool.Hash `json:"block,omitempty"`
	Height int64      `json:"height,omitempty"`

	Turn   int    `json:"turn,omitempty"`   // times that it was confirmed again after a conflict
	Reason string `json:"reason,omitempty"` // of Cancelled, Replaced and Conflicted
}

// Baton is the output that the next payout must spend.
func (d *BatchDoc) Baton() (Outpoint, pool.Amount, bool) {
	for i, o := range d.Outputs {
		if o.Kind == KindBaton && d.TxID != nil {
			return Outpoint{*d.TxID, uint32(i)}, o.Value, true
		}
	}
	return Outpoint{}, 0, false
}

// booked reports whether the ledger has the batch as paid.
func (d *BatchDoc) booked() bool { return d.State == StateConfirmed || d.State == StateFinal }

// dead reports whether the batch holds no inputs and no liabilities any more.
func (d *BatchDoc) dead() bool { return d.State == StateCancelled || d.State == StateReplaced }

// open reports whether the batch stands in the way of another one.
func (d *BatchDoc) open() bool { return !d.booked() && !d.dead() }

// clone copies what the next step changes; amounts, payees' scripts and bytes are shared.
func (d *BatchDoc) clone() *BatchDoc {
	c := *d
	c.Steps = slices.Clone(d.Steps)
	c.Approvals = slices.Clone(d.Approvals)
	c.Payees = slices.Clone(d.Payees)
	return &c
}

// BatchID is SHA-256 over "adit payout 1" ‖ 0x00 ‖ pool ‖ 0x00 ‖ seq (8 bytes, big-endian) ‖ for each
// payee, sorted by script, then amount: script length (4 bytes) ‖ script ‖ amount (8 bytes), in hex.
func BatchID(poolID string, seq uint64, payees []Payee) string {
	sorted := slices.Clone(payees)
	slices.SortFunc(sorted, func(a, b Payee) int {
		return cmp.Or(bytes.Compare(a.Script, b.Script), cmp.Compare(a.Amount, b.Amount))
	})
	b := []byte("adit payout 1\x00" + poolID + "\x00")
	b = binary.BigEndian.AppendUint64(b, seq)
	for _, p := range sorted {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.Script)))
		b = append(b, p.Script...)
		b = binary.BigEndian.AppendUint64(b, uint64(p.Amount))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// hexBytes is written to JSON as hex digits.
type hexBytes []byte

// MarshalText writes hex digits.
func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hex digits.
func (h *hexBytes) UnmarshalText(b []byte) error {
	v, err := hex.DecodeString(string(b))
	if err == nil {
		*h = v
	}
	return err
}

// sum adds amounts.
func sum(amounts ...pool.Amount) (pool.Amount, error) {
	var total pool.Amount
	var err error
	for _, a := range amounts {
		if total, err = total.Add(a); err != nil {
			return 0, err
		}
	}
	return total, nil
}
