package ledger

import (
	"crypto/sha256"
	"crypto/subtle"

	"github.com/adit-pool/adit/pool"
)

// SetPrivacy is the set of documents that say who may see an account, by account; rank is their time.
const SetPrivacy = "privacy"

// Shown is what everybody may see of an account.
type Shown string

// What may be shown. Whoever has an account's key sees all of it.
const (
	ShowAll   Shown = "public"
	ShowRates Shown = "hashrate" // its hashrates, nothing else
	ShowNone  Shown = "link"     // nothing
)

// Known reports a value that there is.
func (s Shown) Known() bool { return s == ShowAll || s == ShowRates || s == ShowNone }

// PrivacyDoc is an owner's newest order about who sees the account.
type PrivacyDoc struct {
	V       int            `json:"v"`
	Account pool.AccountID `json:"account"`
	Show    Shown          `json:"show"`
	Lock    Hex            `json:"lock,omitempty"` // SHA-256 of the key that opens it
	Counter uint64         `json:"counter"`        // of the order
	Time    int64          `json:"time"`           // Unix milliseconds
}

// Opens reports whether a key opens the account.
func (d *PrivacyDoc) Opens(key string) bool {
	sum := sha256.Sum256([]byte(key))
	return len(d.Lock) == len(sum) && subtle.ConstantTimeCompare(sum[:], d.Lock) == 1
}
