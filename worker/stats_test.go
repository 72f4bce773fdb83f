package worker

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestHashrateWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Stats
		s.start("sha256d", nil)
		if c := s.Counts(); c.Hashrate != 0 {
			t.Errorf("hashrate %v before any hash", c.Hashrate)
		}
		run := func(seconds int, rate uint64) {
			for range seconds * 4 {
				time.Sleep(250 * time.Millisecond)
				s.addHashes(rate / 4)
			}
		}
		near := func(want float64) {
			t.Helper()
			if got := s.Counts().Hashrate; math.Abs(got-want) > want*0.05+1e-9 {
				t.Errorf("hashrate %v, want about %v", got, want)
			}
		}
		run(5, 400)
		near(400)
		run(300, 400)
		near(400)
		run(15, 1200)
		near(800)
		run(20, 1200)
		near(1200)
		time.Sleep(40 * time.Second)
		near(0)
		run(40, 4)
		near(4)
		if got, want := s.Counts().Hashes, uint64(305*400+35*1200+40*4); got != want {
			t.Errorf("%d hashes, want %d", got, want)
		}
	})
}

func TestRejectsByReason(t *testing.T) {
	var s Stats
	s.refused(refusal{21, "Job not found"})
	s.refused(refusal{0, "Stale"})
	for range 3 {
		s.refused(refusal{23, "Low difficulty share"})
	}
	c := s.Counts()
	if c.Rejected != 5 || c.Stale != 2 || len(c.Rejects) != 3 || c.Rejects[0] != (Reject{23, "Low difficulty share", 3}) {
		t.Errorf("%+v", c)
	}
	for i := range 10_000 { // a pool that makes up reasons
		s.refused(refusal{20, fmt.Sprint(i)})
	}
	c = s.Counts()
	if len(c.Rejects) != maxRejects+1 || c.Rejects[0].Reason != "other" || c.Rejected != 10_005 {
		t.Errorf("%d kinds, most frequent %+v, %d in all", len(c.Rejects), c.Rejects[0], c.Rejected)
	}
}
