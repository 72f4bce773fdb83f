package kernels

import "testing"

func TestClock(t *testing.T) {
	best := 0.0
	for range 20 {
		best = max(best, Clock())
	}
	if best != 0 && (best < 0.2e9 || best > 10e9) {
		t.Errorf("clock of %.3f GHz", best/1e9)
	}
	t.Logf("clock %.3f GHz", best/1e9)
}
