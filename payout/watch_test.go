package payout

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/adit-pool/adit/payout/sign"
)

// TestWatchWaits: while no step may be taken, nothing that the node has forgotten is sent again; afterwards it is.
func TestWatchWaits(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	sent := w.node.sends
	looks := func(answer error) {
		t.Helper()
		w.node.mempool = nil // the node has forgotten it
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		w.pay.Watch(ctx, time.Millisecond, func() error {
			if n++; n == 3 {
				cancel()
			}
			return answer
		})
	}
	looks(errors.New("one disk is away"))
	if w.node.sends != sent || len(w.node.mempool) != 0 {
		t.Errorf("sent %d times while nothing may be done", w.node.sends-sent)
	}
	looks(nil)
	if w.node.sends == sent || len(w.node.mempool) == 0 {
		t.Error("not sent again afterwards")
	}
}
