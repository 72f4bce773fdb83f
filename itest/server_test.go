//go:build itest

package itest

import "testing"

// TestBlockCreditPayoutWithRedisServer is the main job once more with a real redis-server, started twice
// on the same data: the second run goes on where the first was.
func TestBlockCreditPayoutWithRedisServer(t *testing.T) {
	dir := t.TempDir()
	s := startDev(t, dir, "--redis", "server")
	mainJob(t, s)
	before := ledgerSeq(t, s)
	s.stop()
	noChildren(t, dir)

	s = startDev(t, dir, "--redis", "server")
	if after := ledgerSeq(t, s); after < before {
		t.Errorf("the ledger was at entry %d and is at %d", before, after)
	}
	mainJob(t, s)
	s.stop()
	noChildren(t, dir)
}

func ledgerSeq(t *testing.T, s *site) uint64 {
	t.Helper()
	var p struct{ Ledger struct{ Seq uint64 } }
	if err := s.get("/api/v1/pools/bitcoin", &p); err != nil {
		t.Fatal(err)
	}
	return p.Ledger.Seq
}
