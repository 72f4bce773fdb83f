package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// keeper keeps notes as text, or does not.
type keeper struct {
	mu   sync.Mutex
	fail error
	kept []string
}

func (k *keeper) KeepNotes(_ context.Context, notes []pool.Note) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	for _, n := range notes {
		k.kept = append(k.kept, fmt.Sprintf("%s %s=%s", n.Worker, n.Kind, n.Value))
	}
	slices.Sort(k.kept)
	return nil
}

// What rigs ask for in their passwords is kept, each worker's last word, also when that fails at first.
func TestNotes(t *testing.T) {
	k := &keeper{fail: errors.New("away")}
	r := newRig(t, newMemStream(t), rigOptions{dir: t.TempDir(), noRun: true, notes: k})
	login := func(user, password string) {
		t.Helper()
		if _, err := r.edge.Authorize(user, password); err != nil {
			t.Fatal(err)
		}
	}
	login("addrA.rig", "d=5,code=B")
	login("addrA.rig2", "x")
	login("addrA", "code=AB-12")
	login("addrA.rig", "pl=0.5;code=C")
	r.edge.keepNotes(t.Context())
	k.mu.Lock()
	k.fail = nil
	k.mu.Unlock()
	r.edge.keepNotes(t.Context())
	r.edge.keepNotes(t.Context())
	if got, want := strings.Join(k.kept, "|"), " code=AB-12|rig code=C"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
}

// A running edge keeps them by itself, the last ones at its end.
func TestNotesAreKept(t *testing.T) {
	k := &keeper{}
	m := newMemStream(t)
	r := newRig(t, m, rigOptions{dir: t.TempDir(), notes: k})
	if _, err := r.edge.Authorize("addrA.rig", "code=1"); err != nil {
		t.Fatal(err)
	}
	m.await(t, "a note", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.kept) == 1
	})
	if _, err := r.edge.Authorize("addrA.rig", "code=2"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if got := strings.Join(k.kept, "|"); got != "rig code=1|rig code=2" {
		t.Errorf("kept %s", got)
	}
}

// However many ask, memory has a bound, and who is noted may change his mind.
func TestNotesAreBounded(t *testing.T) {
	n, now := newNotes(), time.Unix(1000, 0)
	for i := range maxNotes + 10 {
		n.put(&pool.Worker{Name: fmt.Sprint(i)}, pool.Asked{Code: "1"}, now)
	}
	n.put(&pool.Worker{Name: "0"}, pool.Asked{Code: "2"}, now)
	if k := (noteKey{worker: "0", kind: pool.NoteCode}); len(n.waiting) != maxNotes || n.waiting[k].Value != "2" {
		t.Errorf("%d notes, %+v", len(n.waiting), n.waiting[k])
	}
	if list := n.take(); len(list) != maxNotes || len(n.waiting) != 0 {
		t.Errorf("%d taken, %d left", len(list), len(n.waiting))
	}
}
