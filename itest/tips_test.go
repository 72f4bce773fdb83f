//go:build itest

package itest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/worker"
)

// TestTips lets somebody else find a block every twenty seconds, or sooner in the short form, while rigs of
// unequal speed mine under vardiff: nothing is refused but shares of a tip that was replaced while they were
// searched for. With ADIT_LONG it takes ten minutes.
func TestTips(t *testing.T) {
	every, tips := 4*time.Second, 6
	if os.Getenv("ADIT_LONG") != "" {
		every, tips = 20*time.Second, 30
	}
	s, _, _ := startRareAt(t, "0.0000001", "0.00000001", "1")
	r := newRigs()
	changes, difficulties := 0, map[string]bool{}
	for i, speed := range []float64{4000, 1500, 400} {
		runRig(t, s.state.Stratum, fmt.Sprintf("%s.rig%d", s.state.RewardAddress, i), sha256d.Kernel{}, speed, func(e worker.Event) {
			r.observe(e)
			if e.Kind == worker.Accepted {
				r.mu.Lock()
				difficulties[fmt.Sprint(i, " at ", e.Share.Difficulty)] = true
				r.mu.Unlock()
			}
		})
	}
	node := s.node()
	for next := time.Now().Add(every); changes < tips; next = next.Add(every) {
		time.Sleep(time.Until(next)) // the pace is what is tested
		var hashes []string
		if err := node.Call(t.Context(), "generate", &hashes, 1); err != nil {
			t.Fatal(err)
		}
		changes += len(hashes)
	}
	submitted, acknowledged := r.count()
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Logf("%d tips by others; %d shares sent, %d acknowledged at %d (rig, difficulty) pairs; refused: %v", changes, submitted, acknowledged, len(difficulties), r.rejected)
	if acknowledged < 20 {
		t.Errorf("%d shares are no test", acknowledged)
	}
	for text, n := range r.rejected {
		if text != "Stale share: the chain has a new tip" {
			t.Errorf("%d times refused: %s", n, text)
		}
	}
}
