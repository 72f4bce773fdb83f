package pool

import "time"

// NoteKind says what a note is about.
type NoteKind string

// The kinds of notes.
const (
	NotePayoutLimit NoteKind = "payout-limit" // pl=: a decimal number of coins
	NoteCode        NoteKind = "code"         // code=: letters, digits and '-'
)

// CodeKept is how long a one-time code counts after the login that gave it.
const CodeKept = time.Hour

// Note is something that a rig asked for its account in its password. A rig needs no secret to name an
// address, so whoever acts on notes must weigh whose they are, such as by the work of the worker that gave
// it.
type Note struct {
	Account AccountID `json:"-"`
	Worker  string    `json:"worker"` // storage name, "" when none
	Kind    NoteKind  `json:"kind"`
	Value   string    `json:"value"`
	Time    int64     `json:"time"` // Unix milliseconds, of the login
}
