package edge

import (
	"fmt"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

func TestReport(t *testing.T) {
	m := newMemStream(t)
	r := newRig(t, m, rigOptions{dir: t.TempDir(), noRun: true})
	for range 3 {
		r.share(t)
	}
	r.edge.Rejected(r.session, 0, pool.RejectMalformed)
	r.edge.Rejected(r.session, -1, pool.RejectUnauthorized)
	r.edge.Rejected(nil, -1, pool.RejectNotSubscribed)
	if v, c := r.judge(&pool.Submission{Salt: 1 << 31}); v.Reject != pool.RejectUnknownJob || c != nil {
		t.Fatal(v.Reject)
	}
	got := r.edge.Report(time.Now())
	if got.Edge != "e1" || got.Sessions != 1 || got.Height != 100 || got.NetworkWork != "2" || !got.JournalOK || got.Backlog != 3 || len(got.Workers) != 2 {
		t.Fatalf("%+v", got)
	}
	for _, w := range got.Workers {
		if w.Address == "" { // nobody's
			if w.Rejected["not-subscribed"] != 1 || w.Accepted != 0 {
				t.Fatalf("%+v", w)
			}
			continue
		}
		if w.Address != "addrA" || w.Worker != "rig1" || w.Agent != "test/1" || w.Accepted != 3 || w.Work != 3 || w.Difficulty != 1 ||
			w.Sessions != 1 || w.LastShare == 0 || w.BestShare < 1 || w.BestShare > 2 ||
			len(w.Rejected) != 3 || w.Rejected["malformed"] != 1 || w.Rejected["unauthorized"] != 1 || w.Rejected["unknown-job"] != 1 {
			t.Fatalf("%+v", w)
		}
	}
	r.edge.EndSession(r.session)
	got = r.edge.Report(time.Now())
	if got.Sessions != 0 || len(got.Workers) != 0 || len(r.edge.stats.workers) != 0 {
		t.Fatalf("gone, and still reported: %+v", got)
	}
}

// accepted is an accepted share of a session's worker.
func accepted(worker int, work uint64) []pool.Judged {
	return []pool.Judged{{
		Submission: pool.Submission{Worker: worker},
		Verdict:    pool.Verdict{Share: pool.Share{Time: 1, Issued: pool.WorkOf(work)}},
	}}
}

// Work counts for the payout limit of the login that did it, and no other login's, whatever worker it names.
func TestLimitsOfLogins(t *testing.T) {
	r := newRig(t, newMemStream(t), rigOptions{dir: t.TempDir(), noRun: true})
	stats, s := r.edge.stats, &pool.Session{}
	for _, password := range []string{"pl=7", "x", "pl=21", "pl=1.5", "d=1;pl=07"} {
		w, err := r.edge.Authorize("addrA.rig1", password)
		if err != nil {
			t.Fatal(err)
		}
		s.Workers = append(s.Workers, w)
	}
	stats.begin(s)
	for i, n := range []uint64{5, 70, 1, 300, 2} {
		stats.submitted(s, accepted(i, n))
	}
	got := map[pool.Amount]float64{}
	for _, l := range r.edge.Report(time.Now()).Limits {
		got[l.Limit] = l.Work
	}
	if len(got) != 2 || got[7] != 7 || got[21] != 1 {
		t.Errorf("%v", got)
	}
	if again := r.edge.Report(time.Now()).Limits; len(again) != 0 {
		t.Errorf("reported twice: %v", again)
	}
	for i := range maxLimits + 5 {
		limit := pool.Amount(i)
		s.Workers[0].Limit = &limit
		stats.submitted(s, accepted(0, 1))
	}
	if n := len(r.edge.Report(time.Now()).Limits); n != maxLimits {
		t.Errorf("%d limits in a report", n)
	}
}

func TestAuthorize(t *testing.T) {
	r := newRig(t, newMemStream(t), rigOptions{dir: t.TempDir(), noRun: true})
	f := func(user, worker, wantErr string) {
		t.Helper()
		w, err := r.edge.Authorize(user, "x")
		if wantErr != "" {
			if err == nil || err.Error() != wantErr {
				t.Fatalf("%.20s: error %v", user, err)
			}
			return
		}
		if err != nil || w.User != user || w.Name != worker || string(w.Script) != "addrB" || w.Account != pool.AccountOf("toy", []byte("addrB")) {
			t.Fatalf("%+v, %v", w, err)
		}
	}
	f("addrB", "", "")
	f("addrB.rig", "rig", "")
	f("addrB_a<b>", "a-b-", "")
	f("nobody.x", "", `"nobody" is not an address of this network`)
	f("addr"+fmt.Sprintf("%0300d", 1), "", errLongUser.Error())
	for i := range maxNames {
		f(fmt.Sprintf("addrB.w%d", i), map[bool]string{true: otherWorker, false: fmt.Sprintf("w%d", i)}[i >= maxNames-2], "")
	}
	f("addrB.rig", "rig", "") // known names stay
	n := r.edge.names
	total := n.total
	n.admit(pool.AccountID{1}, "x", time.Now().Add(namesKept+2*time.Hour))
	if n.total != 1 || total != maxNames+1 { // rig1 of another account
		t.Fatalf("%d names, then %d", total, n.total)
	}
}

// TestSubmitAllocates holds what the edge adds to a share: nothing but its group's commit.
func TestSubmitAllocates(t *testing.T) {
	r := newRig(t, newMemStream(t), rigOptions{dir: t.TempDir(), noRun: true})
	batch := accepted(0, 1)
	if n := testing.AllocsPerRun(100, func() { r.edge.stats.submitted(r.session, batch) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
