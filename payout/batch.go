package payout

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/adit-pool/adit/payout/build"
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

// Formats of BatchDoc. Format 1 knew single transactions alone; its documents are read as they are.
const (
	docVersion = 2
	docOldest  = 1
)

// Kinds of batches beside those that pay, whose kind is "".
const (
	KindFan    = "fan"    // funds the transactions of a run, one baton each
	KindCancel = "cancel" // spends the baton of a signed batch, so that it can never be paid
	KindChild  = "child"  // spends change of a stuck batch for a fee that pays for both
)

// Payee is one account's part of a batch. Accounts with the same script share an output.
type Payee struct {
	Account pool.AccountID `json:"account"`
	Address string         `json:"address"`
	Script  build.Hex      `json:"script"`
	Amount  pool.Amount    `json:"amount"`        // taken from the account
	Fee     pool.Amount    `json:"fee,omitempty"` // of Amount, the network fee that the payee bears; known from Built on
	Vout    *uint32        `json:"vout,omitempty"`
	Reason  string         `json:"reason,omitempty"`
}

// Step is one entry of a batch's history.
type Step struct {
	State State  `json:"state"`
	Time  int64  `json:"time"` // Unix milliseconds
	Note  string `json:"note,omitempty"`
}

// Approval allows a run. It is worth nothing without its signature, except the system's own under policy none.
type Approval struct {
	By        string    `json:"by"`
	Policy    string    `json:"policy"`
	Time      int64     `json:"time"` // Unix milliseconds
	Signature build.Hex `json:"signature,omitempty"`
}

// Version is one transaction of a batch. A fee bump makes the next one: more fee, the same inputs and payees.
type Version struct {
	Inputs  []build.Input  `json:"inputs,omitempty"`
	Outputs []build.Output `json:"outputs,omitempty"`
	FeeRate pool.Amount    `json:"fee_rate,omitempty"` // per 1000 virtual bytes
	VSize   int64          `json:"vsize,omitempty"`    // virtual bytes at the largest signature size
	Fee     pool.Amount    `json:"fee,omitempty"`
	TxID    *pool.Hash     `json:"txid,omitempty"`
	PSBT    []byte         `json:"psbt,omitempty"` // BIP 174, until it is signed
	Raw     build.Hex      `json:"raw,omitempty"`  // signed transaction
}

// BatchDoc is one batch as its newest ledger entry left it: the body of subject "payouts". Amounts are
// base units.
type BatchDoc struct {
	V         int         `json:"v"`
	ID        string      `json:"id"` // 64 hex digits, see BatchID
	Pool      string      `json:"pool"`
	Kind      string      `json:"kind,omitempty"`
	Of        string      `json:"of,omitempty"`    // batch that a cancel or child is about
	Run       string      `json:"run,omitempty"`   // what is approved: the ID when the batch is all of its run
	Part      int         `json:"part,omitempty"`  // of the run's transactions, from 1; 0 for its fan
	Parts     int         `json:"parts,omitempty"` // transactions of the run without the fan
	State     State       `json:"state"`
	Steps     []Step      `json:"steps"`
	Seq       uint64      `json:"seq"` // ledger sequence that the balances were read at
	Author    string      `json:"author,omitempty"`
	Threshold pool.Amount `json:"threshold"`
	FeeFrom   string      `json:"fee_from,omitempty"` // FeeFromPool or FeeFromPayees
	Payees    []Payee     `json:"payees"`
	Held      []Payee     `json:"held,omitempty"` // due but not paid, with the reason
	Left      int         `json:"left,omitempty"` // payees that wait for the next run: no room
	Total     pool.Amount `json:"total"`          // sum over Payees
	Approvals []Approval  `json:"approvals,omitempty"`

	// From Built on; of the version that stands, or that was paid.
	Version
	Exported bool      `json:"exported,omitempty"` // the PSBT left this program: others may sign it at any time
	Earlier  []Version `json:"earlier,omitempty"`  // before fee bumps, oldest first; any of them may still be paid

	// From Confirmed on: the block that holds it or, learnt from the payout after it, a later one. In
	// Conflicted: the height at which that was noticed.
	Block  *pool.Hash `json:"block,omitempty"`
	Height int64      `json:"height,omitempty"`

	Turn   int    `json:"turn,omitempty"`   // fee bumps, and times that it was confirmed again after a conflict
	Reason string `json:"reason,omitempty"` // of Cancelled, Replaced and Conflicted
}

// Who bears network fees.
const (
	FeeFromPool   = "pool"
	FeeFromPayees = "payees"
)

// Baton is the output that the next payout must spend.
func (d *BatchDoc) Baton() (build.Outpoint, pool.Amount, bool) {
	for i, o := range d.Outputs {
		if o.Kind == build.KindBaton && d.TxID != nil {
			return build.Outpoint{TxID: *d.TxID, Vout: uint32(i)}, o.Value, true
		}
	}
	return build.Outpoint{}, 0, false
}

// run is what the batch is approved with.
func (d *BatchDoc) run() string { return cmp.Or(d.Run, d.ID) }

// pays reports whether accounts are paid by the batch or by what it funds, rather than to help another batch.
func (d *BatchDoc) pays() bool { return d.Kind == "" || d.Kind == KindFan }

// loose reports whether a transaction of the batch may be in the hands of others: signed once, or exported.
// From then on only the chain can undo it.
func (d *BatchDoc) loose() bool { return d.Exported || len(d.Raw) > 0 || len(d.Earlier) > 0 }

// versions are all transactions that may be paid for the batch, the one that stands first.
func (d *BatchDoc) versions() []*Version {
	var all []*Version
	if d.TxID != nil {
		all = append(all, &d.Version)
	}
	for i := len(d.Earlier) - 1; i >= 0; i-- {
		all = append(all, &d.Earlier[i])
	}
	return all
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
	c.Earlier = slices.Clone(d.Earlier)
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

// RunID names what people approve: the id of the batch when it is one, else SHA-256 over "adit payout run 1" ‖
// 0x00 ‖ pool ‖ 0x00 ‖ each id in order ‖ 0x0a, in hex.
func RunID(poolID string, batches []string) string {
	if len(batches) == 1 {
		return batches[0]
	}
	b := []byte("adit payout run 1\x00" + poolID + "\x00")
	for _, id := range batches {
		b = append(append(b, id...), '\n')
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// helperID names a batch that pays nobody: SHA-256 over "adit payout KIND 1" ‖ 0x00 ‖ pool ‖ 0x00 ‖ of ‖ 0x00 ‖
// seq (8 bytes, big-endian), in hex. of is the batch that it is about, for a fan its first part.
func helperID(kind, poolID, of string, seq uint64) string {
	b := []byte("adit payout " + kind + " 1\x00" + poolID + "\x00" + of + "\x00")
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, seq))
	return hex.EncodeToString(sum[:])
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
