package pool

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// S9: a session that is taken up again has its jobs and what it submitted, and both are gone from the other.
func TestResumeKeepsJobsAndShares(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	j := setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
	old := toySession(t, e, fixed64, "alice")
	is := issue(t, e, old, 64)
	sent := find(e, old, is, is.Target, j.NetworkTarget)
	if v := e.Submit(old, sent, toyNow); v.Reject != Accepted {
		t.Fatal(v.Reject)
	}
	s := toySession(t, e, fixed64, "alice")
	s.Resume(old)
	if v := e.Submit(s, sent, toyNow); v.Reject != RejectDuplicate {
		t.Errorf("the same share again: %v", v.Reject)
	}
	kept := *find(e, s, is, is.Target, j.NetworkTarget)
	kept.Extranonce2[7] = 1
	for n := uint32(0); ; n++ {
		kept.Nonce = n
		if p := powOf(e, s, is, kept.NTime, n, kept.Extranonce2); is.Target.Meets(&p) {
			break
		}
	}
	if v := e.Submit(s, &kept, toyNow); v.Reject != Accepted {
		t.Errorf("a share found while away: %v", v.Reject)
	}
	if again, _, err := e.Issue(s, toyNow); err != nil || again.Salt == is.Salt {
		t.Errorf("salt used again: %+v, %v", again, err)
	}
}

// S6: version bits that miners may roll are clear in a job, whatever the node wants to signal there.
func TestRollableBitsAreClear(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	tm := toyTemplate(100, 1, toyBits(16))
	tm.Version = 0x3fff_ffff
	if got := setTemplate(t, e, tm, toyNow).Template.Version; got != 0x2000_1fff {
		t.Errorf("job version %08x", got)
	}
	if tm.Version != 0x3fff_ffff {
		t.Error("the node's template was changed")
	}
}

// A mask made narrower counts for later jobs; made wider, for all.
func TestVersionMaskOfTheIssue(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
	s := toySession(t, e, Limits{Start: 1, Min: 1, Max: 1}, "alice")
	s.VersionMask = 0x1fffe000
	wide := issue(t, e, s, 1)
	s.VersionMask = 0x00002000
	narrow := issue(t, e, s, 1)
	f := func(is Issued, bits uint32, want Reject) {
		t.Helper()
		sub := &Submission{Salt: is.Salt, NTime: 1_700_000_000, HasVersion: true, VersionBits: bits}
		if v := e.Submit(s, sub, toyNow); v.Reject != want {
			t.Errorf("bits %08x: %v, want %v", bits, v.Reject, want)
		}
	}
	f(wide, 0x1fffe000, Accepted)
	f(narrow, 0x00004000, RejectVersion)
	f(narrow, 0x00002000, Accepted)
	s.VersionMask = 0x00006000
	f(narrow, 0x00004000, Accepted)
}

// SOLO work is bounded: older templates are given up before anyone is refused, and a new template makes room.
func TestSoloAccountsAreBounded(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	e.maxSolo = 4
	now := toyNow
	solo := func(name string) (*Session, error) {
		s := toySession(t, e, fixed64, name)
		s.Scheme = SchemeSOLO
		_, _, err := e.Issue(s, now)
		return s, err
	}
	setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), now)
	old, err := solo("a")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), now)
	for i := range 4 {
		if _, err := solo(fmt.Sprint("b", i)); err != nil {
			t.Fatal(err)
		}
	}
	if e.Job(old.Issued[0].JobID) != nil {
		t.Error("the older template's SOLO work is still held")
	}
	if _, err := solo("c"); !errors.Is(err, ErrSoloFull) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := solo("b0"); err != nil {
		t.Errorf("an account that has work: %v", err)
	}
	setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), now)
	setTemplate(t, e, toyTemplate(101, 2, toyBits(16)), now)
	setTemplate(t, e, toyTemplate(102, 3, toyBits(16)), now)
	if _, err := solo("c"); err != nil {
		t.Errorf("after new templates: %v", err)
	}
	if e.derived != 1 {
		t.Errorf("%d SOLO jobs counted", e.derived)
	}
}
