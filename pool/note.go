package pool

import "time"

// NoteKind says what a note is about.
type NoteKind string

// The kinds of notes.
const (
	NoteCode NoteKind = "code" // code=: letters, digits and '-'
)

// CodeKept is how long a one-time code counts after the login that gave it.
const CodeKept = time.Hour

// Note is something that a rig said for its account in its password. A rig needs no secret to name an address and
// any worker of it, so a note alone changes nothing: payout limits are no notes, see [LimitReport].
type Note struct {
	Account AccountID `json:"-"`
	Worker  string    `json:"worker"` // storage name, "" when none
	Kind    NoteKind  `json:"kind"`
	Value   string    `json:"value"`
	Time    int64     `json:"time"` // Unix milliseconds, of the login
}
