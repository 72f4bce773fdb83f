package edge

import (
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

func TestTotals(t *testing.T) {
	r := newRig(t, newMemStream(t), rigOptions{dir: t.TempDir()})
	for range 3 {
		r.share(t)
	}
	r.edge.Rejected(r.session, 0, pool.RejectStale)
	r.edge.Rejected(nil, -1, pool.RejectNotSubscribed)
	f := func() {
		t.Helper()
		got := r.edge.Totals()
		if got.Accepted != 3 || got.Hashes != 3 || got.Rejected["stale"] != 1 || got.Rejected["not-subscribed"] != 1 || got.Rejected["ntime"] != 0 ||
			len(got.Rejected) != len(pool.Rejects()) || len(got.Blocks) != 4 {
			t.Fatalf("%+v", got)
		}
	}
	f()
	r.edge.Report(time.Now()) // which begins its own counts anew
	f()
	timed := func() bool {
		buckets, _ := r.edge.SubmitTimes().Buckets()
		return buckets[len(buckets)-1].Count == 1
	}
	for end := time.Now().Add(20 * time.Second); !timed(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the first share is not timed")
		}
	}
}
