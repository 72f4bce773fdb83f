package edge

import (
	"context"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Notes is where wishes of rigs are kept for who acts on them. A rig's word alone changes nothing about
// money.
type Notes interface {
	// KeepNotes keeps each note in place of an earlier one of the same worker and kind.
	KeepNotes(ctx context.Context, notes []pool.Note) error
}

// maxNotes is how many notes may wait to be kept. Beyond it a rig must say it again with its next login.
const maxNotes = 50_000

// notes are what rigs asked for in their passwords and is not kept yet.
type notes struct {
	mu      sync.Mutex // guards all below
	waiting map[noteKey]pool.Note
}

type noteKey struct {
	account pool.AccountID
	worker  string
	kind    pool.NoteKind
}

func newNotes() *notes { return &notes{waiting: make(map[noteKey]pool.Note)} }

// put notes what a login asked for.
func (n *notes) put(w *pool.Worker, asked pool.Asked, now time.Time) {
	if asked.Code == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wait(pool.Note{Account: w.Account, Worker: w.Name, Kind: pool.NoteCode, Value: asked.Code, Time: now.UnixMilli()})
}

// wait puts a note among those that wait, if there is room and no later one of its kind. Caller holds mu.
func (n *notes) wait(note pool.Note) {
	k := noteKey{note.Account, note.Worker, note.Kind}
	old, there := n.waiting[k]
	if there && old.Time > note.Time || !there && len(n.waiting) >= maxNotes {
		return
	}
	n.waiting[k] = note
}

// take empties the table.
func (n *notes) take() []pool.Note {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		return nil
	}
	list := make([]pool.Note, 0, len(n.waiting))
	for _, note := range n.waiting {
		list = append(list, note)
	}
	n.waiting = make(map[noteKey]pool.Note)
	return list
}

// keepNotes hands on what waits; what cannot be kept now waits on.
func (e *Edge) keepNotes(ctx context.Context) {
	list := e.notes.take()
	if len(list) == 0 || e.opts.Notes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := e.opts.Notes.KeepNotes(ctx, list); err != nil {
		e.opts.Log.Debug().Err(err).Int("notes", len(list)).Msg("what rigs asked for cannot be kept yet")
		e.notes.mu.Lock()
		defer e.notes.mu.Unlock()
		for _, note := range list {
			e.notes.wait(note)
		}
	}
}
