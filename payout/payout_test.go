package payout

import (
	"context"
	"errors"
	"testing"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

func TestRun(t *testing.T) {
	for _, typ := range []sign.KeyType{sign.WPKH, sign.TR} {
		t.Run(string(typ), func(t *testing.T) {
			w := newWorld(t, typ)
			if err := w.run(); !errors.Is(err, ErrNothing) {
				t.Fatalf("an empty ledger: %v", err)
			}
			for range 3 {
				w.rich(3)
				w.finish()
				w.verify()
			}
			if n := len(w.list()); n != 3 {
				t.Fatalf("%d payouts, want 3", n)
			}
			for i, d := range w.list() {
				if (d.Inputs[0].Kind == build.KindBaton) != (i > 0) {
					t.Errorf("payout %d spends a %s first", i, d.Inputs[0].Kind)
				}
				if raw, err := parseTx(d.Raw); err != nil || pool.Hash(raw.TxHash()) != *d.TxID {
					t.Errorf("payout %d: stored bytes: %v", i, err)
				}
				if _, err := w.pay.Run(context.Background(), SystemAccount); !errors.Is(err, ErrNothing) {
					t.Errorf("run with nothing due: %v", err)
				}
			}
		})
	}
}

// TestCrash kills the process before and after every posting and every call to the node, one at a time.
func TestCrash(t *testing.T) {
	reached := map[string]bool{}
	step := 1
	if raceEnabled {
		step = 40
	}
	for at := 1; ; at += step {
		w := newWorldIn(t, t.TempDir(), sign.WPKH)
		w.rich(2)
		w.finish() // so that there is a baton and change
		w.rich(1)
		w.countdown = at
		for range 6 {
			_ = w.run()
			_ = w.check()
			w.mine(1)
		}
		w.countdown = 0
		w.finish()
		w.verify()
		_ = w.book.Close()
		if w.crashed == "" {
			if at < 50 {
				t.Fatalf("only %d places to be killed at", at)
			}
			break
		}
		reached[w.crashed] = true
	}
	if raceEnabled {
		return // not at every place
	}
	for _, state := range []State{StateDraft, StateFrozen, StateApproved, StateBuilt, StateSigned, StateBroadcast, StateConfirmed, StateFinal} {
		for _, side := range []string{"before", "after"} {
			if !reached[side+" payout."+string(state)] {
				t.Errorf("never killed %s %s", side, state)
			}
		}
	}
	if !reached["before send"] || !reached["after send"] {
		t.Error("never killed around sending")
	}
}
