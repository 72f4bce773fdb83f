package pool

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestCreditBound submits hashes to sessions of any difficulty: what is credited is the lesser of issued
// and network work, never more, whatever the hash was beyond meeting the target.
func TestCreditBound(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	rapid.Check(t, func(rt *rapid.T) {
		bits := rapid.UintRange(1, 8).Draw(rt, "network bits")
		setTemplate(t, e, toyTemplate(100, byte(bits), toyBits(bits)), toyNow)
		d := Difficulty(math.Exp2(float64(rapid.IntRange(0, 10).Draw(rt, "log difficulty"))))
		s := toySession(t, e, Limits{Start: d, Min: 1, Max: 2048}, "alice")
		is := issue(t, e, s, d)
		network := e.Job(is.JobID).NetworkWork
		want := is.Work.Min(network)
		for nonce := range uint32(64) {
			p := powOf(e, s, is, 1_700_000_000, nonce, [8]byte{})
			v := e.Submit(s, &Submission{Salt: is.Salt, NTime: 1_700_000_000, Nonce: nonce}, toyNow)
			if (v.Reject == Accepted) != (is.Target.Meets(&p) || v.Candidate != nil) {
				rt.Fatalf("hash %x for target %s: %v", p, is.Target, v.Reject)
			}
			if v.Reject != Accepted {
				continue
			}
			credit := v.Share.Credit
			if is.Target.Meets(&p) && credit != want || !is.Target.Meets(&p) && !credit.IsZero() || credit.Cmp(is.Work) > 0 || credit.Cmp(network) > 0 {
				rt.Fatalf("credit %s for an issue of %s on a network of %s", credit, is.Work, network)
			}
		}
	})
}
