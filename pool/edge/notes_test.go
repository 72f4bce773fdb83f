package edge

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

func TestNotes(t *testing.T) {
	r := newRig(t, newMemStream(t), rigOptions{dir: t.TempDir(), noRun: true})
	login := func(user, password string) pool.Worker {
		t.Helper()
		w, err := r.edge.Authorize(user, password)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	a := login("addrA.rig", "d=5,pl=0.25")
	login("addrA.rig2", "x")
	login("addrA", "code=AB-12")
	b := login("addrB", "x")
	if got, at := r.edge.Notes(a.Account); got != (pool.Notes{PayoutLimit: "0.25", Code: "AB-12"}) || at.IsZero() {
		t.Errorf("%+v at %v", got, at)
	}
	if got, at := r.edge.Notes(b.Account); got != (pool.Notes{}) || !at.IsZero() {
		t.Errorf("%+v at %v", got, at)
	}
}

// However many accounts ask, memory has a bound, and old wishes make room.
func TestNotesAreBounded(t *testing.T) {
	n, now := newNotes(), time.Unix(1000, 0)
	asked := pool.Notes{Code: "1"}
	for i := range uint32(maxNotes + 10) {
		var a pool.AccountID
		binary.BigEndian.PutUint32(a[:], i)
		n.put(a, asked, now)
	}
	if len(n.by) != maxNotes {
		t.Errorf("%d notes", len(n.by))
	}
	n.put(pool.AccountID{0xff}, asked, now.Add(notesKept+time.Second))
	if len(n.by) != 1 {
		t.Errorf("%d notes after an hour", len(n.by))
	}
}
