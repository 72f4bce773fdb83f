package pool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// AccountID names an account: the first 20 bytes of SHA-256(pool id ‖ 0x00 ‖ canonical output script).
// Two spellings of an address are one account; one address in two pools is two.
type AccountID [20]byte

// AccountOf returns the id of the account that is paid to script in the named pool.
func AccountOf(poolID string, script []byte) AccountID {
	h := sha256.New()
	h.Write([]byte(poolID))
	h.Write([]byte{0})
	h.Write(script)
	return AccountID(h.Sum(nil)[:20])
}

// String writes 40 hex digits.
func (a AccountID) String() string { return hex.EncodeToString(a[:]) }

// MarshalText writes 40 hex digits.
func (a AccountID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads 40 hex digits.
func (a *AccountID) UnmarshalText(b []byte) error {
	if len(b) != 40 {
		return fmt.Errorf("account id has %d digits, want 40", len(b))
	}
	_, err := hex.Decode(a[:], b)
	return err
}

// Worker is an authorized user of a session.
type Worker struct {
	User    string    `json:"user"` // as sent; a submit must name exactly this
	Account AccountID `json:"account"`
	Script  []byte    `json:"script"`          // canonical output script of the account
	Name    string    `json:"name"`            // worker name for storage, "" when none was given
	Limit   *Amount   `json:"limit,omitempty"` // payout limit that its login asked for, nil when none
}

// maxWorkerName is the longest worker name kept.
const maxWorkerName = 63

// SplitUser splits ADDRESS, ADDRESS.worker or ADDRESS_worker. The name is made safe for storage:
// characters outside A-Za-z0-9._- become '-', and it is cut at 63 bytes. A bad name refuses nobody.
func SplitUser(user string) (address, worker string) {
	i := strings.IndexAny(user, "._")
	if i < 0 {
		return user, ""
	}
	name := []byte(user[i+1:])
	if len(name) > maxWorkerName {
		name = name[:maxWorkerName]
	}
	for j, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			name[j] = '-'
		}
	}
	return user[:i], string(name)
}
