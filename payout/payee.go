package payout

import (
	"cmp"
	"time"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Sets of documents of this package in the ledger.
const (
	SetPayouts  = ledger.SetPayouts
	SetPayees   = "payees"   // PayeeDoc by account
	SetHalt     = "halt"     // HaltDoc, one, by the name "halt"
	SetReceipts = "receipts" // ReceiptDoc by outpoint
	SetScan     = "scan"     // ScanDoc, one, by the name "scan"
	SetCoins    = "coins"    // CoinDoc by outpoint
)

const settingsVersion = 1

// PayeeDoc is how one account is paid, as far as it differs from the pool's rules. Every change is an entry
// that replaces it.
type PayeeDoc struct {
	V       int            `json:"v"`
	Account pool.AccountID `json:"account"`
	Counter uint64         `json:"counter,omitempty"` // of the last signed order that was taken
	Terms   Terms          `json:"terms"`
	Hold    *Hold          `json:"hold,omitempty"`
	Cleared string         `json:"cleared,omitempty"` // reason of the last hold that people released: it does not hold again by itself
	// Destinations that were given in place of the account's own script, oldest first; the newest one that has
	// begun is paid to.
	Destinations []Destination `json:"destinations,omitempty"`
}

// Terms are an account's own wishes.
type Terms struct {
	Threshold pool.Amount `json:"threshold,omitempty"` // above the pool's; 0 for the pool's
	Period    Period      `json:"period,omitempty"`    // least time between two payouts
	Paused    bool        `json:"paused,omitempty"`
	By        string      `json:"by,omitempty"` // OrderSignature or OrderPassword
	Time      int64       `json:"time,omitempty"`
}

// Period is the least time between two payouts to an account.
type Period string

// The periods.
const (
	Always  Period = ""
	Daily   Period = "daily"
	Weekly  Period = "weekly"
	Monthly Period = "monthly"
)

// lengths of the periods, a little short so that a payout at the same time of day is in time.
func (p Period) length() (time.Duration, bool) {
	const slack = time.Hour
	switch p {
	case Always:
		return 0, true
	case Daily:
		return 24*time.Hour - slack, true
	case Weekly:
		return 7*24*time.Hour - slack, true
	case Monthly:
		return 28*24*time.Hour - slack, true
	}
	return 0, false
}

// Hold keeps an account from being paid. What it is owed stays owed.
type Hold struct {
	Source   string     `json:"source"` // HoldPerson, HoldDenied, HoldScreen or HoldUnknown
	By       string     `json:"by,omitempty"`
	Reason   string     `json:"reason"`
	Time     int64      `json:"time"`
	Releases []Approval `json:"releases,omitempty"` // so far
}

// Where a hold comes from.
const (
	HoldPerson  = "person"
	HoldDenied  = "deny-list"
	HoldScreen  = "screen"
	HoldUnknown = "unknown payee"
)

// Destination is a script that an account is paid to from some time on.
type Destination struct {
	Script    build.Hex  `json:"script"`
	Address   string     `json:"address"`
	From      int64      `json:"from"` // Unix milliseconds: asked for plus the hold period
	Asked     int64      `json:"asked"`
	How       string     `json:"how"` // OrderSignature or OrderCase
	Text      string     `json:"text,omitempty"`
	Signature string     `json:"signature,omitempty"` // of Text by the destination before
	Author    string     `json:"author,omitempty"`    // of a case
	Evidence  string     `json:"evidence,omitempty"`
	Approvals []Approval `json:"approvals,omitempty"`
	Needs     int        `json:"needs,omitempty"` // approvals that a case waits for; it begins when it has them
	Withdrawn bool       `json:"withdrawn,omitempty"`
}

// How a destination was changed.
const (
	OrderSignature = "signature"
	OrderCase      = "case"
)

// HaltDoc is the kill switch.
type HaltDoc struct {
	V      int    `json:"v"`
	On     bool   `json:"on"`
	By     string `json:"by"`
	Reason string `json:"reason"`
	Time   int64  `json:"time"`
}

// ReceiptDoc is a coin at one of the pool's scripts that no block and no payout explains. Anybody can send one:
// it is booked to suspense and never spent by a payout before people have taken it in.
type ReceiptDoc struct {
	V      int            `json:"v"`
	Coin   build.Outpoint `json:"coin"`
	Value  pool.Amount    `json:"value"`
	Script build.Hex      `json:"script"`
	Block  pool.Hash      `json:"block"`
	Height int64          `json:"height"`
	Gone   bool           `json:"gone,omitempty"` // its block was orphaned: the booking is reversed
	Step   int            `json:"step,omitempty"` // changes so far
}

// ScanDoc says how far the chain was compared with the ledger, all well.
type ScanDoc struct {
	V      int       `json:"v"`
	First  int64     `json:"first"` // height that the comparison began at
	Height int64     `json:"height"`
	Hash   pool.Hash `json:"hash"`
}

// payee is an account's document, or what it would be.
func (f *fold) payee(id pool.AccountID) PayeeDoc {
	if d := f.payees[id]; d != nil {
		return *d
	}
	return PayeeDoc{V: settingsVersion, Account: id}
}

// destination is the script that an account is paid to at a time; nil when the ledger does not say.
func (f *fold) destination(poolID string, id pool.AccountID, now int64) []byte {
	if d := f.payees[id]; d != nil {
		for i := len(d.Destinations) - 1; i >= 0; i-- {
			if t := &d.Destinations[i]; t.begun(now) {
				return t.Script
			}
		}
	}
	if doc := f.accounts[id]; doc != nil && pool.AccountOf(poolID, doc.Script) == id {
		return doc.Script
	}
	return nil
}

func (t *Destination) begun(now int64) bool {
	return !t.Withdrawn && t.From <= now && len(t.Approvals) >= t.Needs
}

// lastPaid is when an account was last paid and to which script; it counts what is signed.
type lastPaid struct {
	time   int64
	script string
}

// history says of every account when and where it was last paid.
func (f *fold) history() map[pool.AccountID]lastPaid {
	all := map[pool.AccountID]lastPaid{}
	for _, d := range f.batches {
		if d.dead() || !d.loose() && !d.booked() || len(d.Steps) == 0 {
			continue
		}
		for i := range d.Payees {
			q := &d.Payees[i]
			if old, ok := all[q.Account]; !ok || cmp.Compare(old.time, d.Steps[0].Time) <= 0 {
				all[q.Account] = lastPaid{d.Steps[0].Time, string(q.Script)}
			}
		}
	}
	return all
}
