package edge

import (
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

const (
	maxNotes  = 50_000
	notesKept = time.Hour
)

// notes are what rigs asked for their accounts in their passwords lately. Others act on it: a rig's word
// alone changes nothing about money.
type notes struct {
	mu    sync.Mutex // guards all below
	by    map[pool.AccountID]note
	swept time.Time
}

type note struct {
	pool.Notes
	at time.Time
}

func newNotes() *notes { return &notes{by: make(map[pool.AccountID]note)} }

// put keeps what a login asked for; a part that it does not name is kept from before.
func (n *notes) put(account pool.AccountID, asked pool.Notes, now time.Time) {
	if asked == (pool.Notes{}) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if age := now.Sub(n.swept); age > notesKept/4 || len(n.by) >= maxNotes && age > time.Minute {
		n.swept = now
		for a, old := range n.by {
			if now.Sub(old.at) > notesKept {
				delete(n.by, a)
			}
		}
	}
	old, there := n.by[account]
	if !there && len(n.by) >= maxNotes {
		return
	}
	if asked.PayoutLimit == "" {
		asked.PayoutLimit = old.PayoutLimit
	}
	if asked.Code == "" {
		asked.Code = old.Code
	}
	n.by[account] = note{asked, now}
}

// Notes are what the account's rigs asked for within the last hour, and when; nothing is a zero time.
func (e *Edge) Notes(account pool.AccountID) (pool.Notes, time.Time) {
	e.notes.mu.Lock()
	defer e.notes.mu.Unlock()
	n := e.notes.by[account]
	if time.Since(n.at) > notesKept {
		return pool.Notes{}, time.Time{}
	}
	return n.Notes, n.at
}
