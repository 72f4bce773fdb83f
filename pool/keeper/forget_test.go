package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
	"github.com/adit-pool/adit/pool/slice"
)

// toyWitness has seen more than the disk has.
type toyWitness struct {
	held      bool // by a ledger role
	head      ledger.Head
	released  map[slice.StreamID]uint64
	forgotten int
}

func (w *toyWitness) Acquire(context.Context, string) (uint64, error) {
	if w.held {
		return 0, settle.ErrLeaseHeld
	}
	w.held = true
	return 1, nil
}

func (w *toyWitness) Renew(context.Context, string, uint64) error { return nil }

func (w *toyWitness) Release(context.Context, string, uint64) error { w.held = false; return nil }

func (w *toyWitness) Head(context.Context) (ledger.Head, error) { return w.head, nil }

func (w *toyWitness) Releases(context.Context) (map[slice.StreamID]uint64, error) {
	return w.released, nil
}

func (w *toyWitness) ForgetLedger(context.Context) error { w.forgotten++; return nil }

// TestForget: two people decide that what an old backup lacks is lost, while no ledger runs; the ledger says
// so for ever, in a term above all that were seen.
func TestForget(t *testing.T) {
	k := desk(t, "a", 5)
	put(t, k, "heads/20260101T000000Z.json", "a later head")
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	w := &toyWitness{head: ledger.Head{Seq: 99, Term: 41}, released: map[slice.StreamID]uint64{{Edge: "e", Epoch: 7}: 12}}
	by := ledger.Decision{Author: "ann", Approver: "bob", Reason: "both disks burnt"}
	forget := func(by ledger.Decision) error {
		_, err := Forget(t.Context(), testPool, k.o.Dir, w, by, zerolog.Nop())
		return err
	}
	if err := forget(ledger.Decision{Author: "ann", Approver: "ann", Reason: "fire"}); !errors.Is(err, ledger.ErrDecision) {
		t.Errorf("decided by one: %v", err)
	}
	w.held = true
	if err := forget(by); !errors.Is(err, settle.ErrLeaseHeld) {
		t.Errorf("while a ledger runs: %v", err)
	}
	w.held = false
	if w.forgotten != 0 {
		t.Fatal("forgotten all the same")
	}
	if err := forget(by); err != nil || w.forgotten != 1 || w.held {
		t.Fatalf("%v; forgotten %d times, lease held: %v", err, w.forgotten, w.held)
	}
	book, err := ledger.View(filepath.Join(k.o.Dir, LedgerDir), testPool, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	var doc ForgottenDoc
	for e, err := range book.Entries(5) {
		if err != nil || e.Kind != KindForgotten || e.Term != 42 {
			t.Fatalf("%+v, %v", e, err)
		}
		if err := json.Unmarshal(e.Body, &doc); err != nil {
			t.Fatal(err)
		}
	}
	if doc.By != by || doc.Mirror != 99 || len(doc.Heads) != 1 || len(doc.Released) != 1 || doc.Released[0] != (ReleasedDoc{"e", "0000000000000007", 12}) {
		t.Errorf("%+v", doc)
	}
	if files, err := os.ReadDir(filepath.Join(k.o.Dir, HeadsDir)); err != nil || len(files) != 1 || files[0].Name() != "20260101T000000Z.forgotten" {
		t.Errorf("%v, %v", files, err)
	}
}
