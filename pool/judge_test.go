package pool

import (
	"testing"

	"pgregory.net/rapid"
)

// Shares that come together are judged as they are one after the other: two engines that know the same see the
// same submissions, one in batches of any size.
func TestJudgeTogether(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		engines := [2]*Engine{toyEngine(t, SchemePPLNS, 0), toyEngine(t, SchemePPLNS, 0)}
		var sessions [2]*Session
		var salts [2][]uint32
		for k, e := range engines {
			setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
			sessions[k] = toySession(t, e, fixed64, "alice")
			for _, d := range []Difficulty{4, 1} {
				salts[k] = append(salts[k], issue(t, e, sessions[k], d).Salt)
				setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow) // another job of the same tip
			}
			salts[k] = append(salts[k], issue(t, e, sessions[k], 2).Salt, 1<<31)
		}
		n := rapid.IntRange(1, 50).Draw(r, "shares")
		together := make([]Judged, n)
		alone := make([]Judged, n)
		for i := range n {
			which := rapid.IntRange(0, len(salts[0])-1).Draw(r, "job")
			sub := Submission{
				Worker: rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(r, "worker"), NTime: 1_700_000_000,
				Nonce:      uint32(rapid.IntRange(0, 20).Draw(r, "nonce")),
				HasVersion: rapid.IntRange(0, 9).Draw(r, "version") == 0, VersionBits: 0x2000,
			}
			together[i].Submission, alone[i].Submission = sub, sub
			together[i].Salt, alone[i].Salt = salts[0][which], salts[1][which]
			together[i].Renew = true // of another use
		}
		for rest := together; len(rest) > 0; {
			k := engines[0].Judge(sessions[0], rest, toyNow)
			if k < len(rest) && rest[k-1].Candidate == nil {
				r.Fatalf("%d of %d were judged, and the last is no block", k, len(rest))
			}
			for i := range k - 1 {
				if rest[i].Candidate != nil {
					r.Fatalf("share %d is a block that waited for %d others", i, k-1-i)
				}
			}
			rest = rest[k:]
		}
		for i := range alone {
			engines[1].Judge(sessions[1], alone[i:i+1], toyNow)
			a, b := &together[i].Verdict, &alone[i].Verdict
			if (a.Candidate != nil) != (b.Candidate != nil) {
				r.Fatalf("share %d: a block for one of them", i)
			}
			a.Candidate, b.Candidate = nil, nil
			if a.Reject != b.Reject || a.Hash != b.Hash || a.Renew != b.Renew || a.Share.Hash != b.Share.Hash ||
				a.Share.Credit != b.Share.Credit || a.Share.Flags != b.Share.Flags || a.Share.Job != b.Share.Job {
				r.Fatalf("share %d: %+v together, %+v alone", i, a, b)
			}
		}
		if len(sessions[0].Seen) != len(sessions[1].Seen) || sessions[0].Misses != sessions[1].Misses {
			r.Fatalf("they remember differently")
		}
	})
}
