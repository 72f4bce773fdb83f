package stratum

import (
	"testing"
	"time"
)

// Messages of those who have no work to show get their part of a processor, in turns, and what is not used is
// not saved up.
func TestGate(t *testing.T) {
	var g gate
	now := time.Unix(1000, 0)
	for range 200 {
		g.took(20 * time.Microsecond)
	}
	turn := idlePart * idleTurn * g.cost
	if g.cost < 15*time.Microsecond || g.cost > 20*time.Microsecond {
		t.Fatalf("a message costs %v", g.cost)
	}
	for i := range 3 {
		if got, want := g.reserve(now), time.Duration(i)*turn; got != want {
			t.Errorf("turn %d waits %v, want %v", i, got, want)
		}
	}
	g.spend(time.Hour) // it waited for something
	if got, want := g.reserve(now), 3*turn+idlePart*idleMost; got != want {
		t.Errorf("behind a long answer %v, want %v", got, want)
	}
	if got := g.reserve(now.Add(time.Hour)); got != 0 {
		t.Errorf("after an hour %v", got)
	}
}
