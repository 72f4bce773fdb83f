package stratum_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/adit-pool/adit/stratum"
)

// A miner that has work and says nothing is one goroutine that holds no buffer. The long form measures what ten
// thousand of them take of a process of its own, with a job every two seconds; the short one that it is not far
// from what they are counted as.
func TestIdleConnections(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	n, most := 400, 48<<10
	if os.Getenv("ADIT_LONG") != "" {
		n, most = 10_000, stratum.CostConnForTest
	}
	server := startRole(t, fmt.Sprintf("server %s 1024", t.TempDir()))
	before := server.memory(t)
	miners := startRole(t, fmt.Sprintf("idle %s %d", server.first, n))
	if n > 1000 {
		time.Sleep(20 * time.Second) // what they took at first is given back by then
	}
	after := server.memory(t)
	miners.stop()
	each := (after - before) << 20 / n
	t.Logf("%d idle connections: %d MiB, before them %d: %d bytes each", n, after, before, each)
	if each > most {
		t.Errorf("more than %d", most)
	}
}
