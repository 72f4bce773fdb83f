package pool

import (
	"math"
	"testing"
	"time"
)

// A miner who sees a hash before he says anything about difficulty must gain nothing by what he does
// next. The header commits to the issued job, and the issued job to its difficulty.

// cheapChain is the toy chain with a block id that is its proof of work: the engine rations dear hashes,
// and these tests make millions.
type cheapChain struct {
	*toyChain
	params Params
}

func (c cheapChain) Params() *Params               { return &c.params }
func (c cheapChain) BlockID(header *[80]byte) Hash { return c.PowHash(header) }

func cheapEngine(t *testing.T) *Engine {
	t.Helper()
	c := cheapChain{toyChain: newToyChain()}
	c.params = *c.toyChain.Params()
	c.params.SeparatePow = false
	e, err := NewEngine(EngineConfig{PoolID: "toy", Chain: &c, Scheme: SchemePPLNS, Epoch: 7, RewardScript: []byte("reward")})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ways are all the ways to get a lower (or higher) difficulty after a hash is known. Each returns the
// session to go on with.
var ways = map[string]func(t *testing.T, e *Engine, s *Session, to Difficulty) *Session{
	"keep": func(t *testing.T, e *Engine, s *Session, _ Difficulty) *Session { return s },
	"suggest": func(t *testing.T, e *Engine, s *Session, to Difficulty) *Session {
		issue(t, e, s, to)
		return s
	},
	"minimum": func(t *testing.T, e *Engine, s *Session, to Difficulty) *Session {
		s.Minimum = to
		issue(t, e, s, s.Wanted)
		return s
	},
	"reconnect": func(t *testing.T, e *Engine, s *Session, to Difficulty) *Session {
		n := toySession(t, e, s.Limits, s.Workers[0].User)
		issue(t, e, n, to)
		return n
	},
	"silence": func(t *testing.T, e *Engine, s *Session, to Difficulty) *Session {
		for range 20 {
			d, change := s.Vardiff.Next(toyNow.Add(time.Hour), s.Issued[len(s.Issued)-1].Difficulty, s.Limits)
			if !change || d < to {
				break
			}
			issue(t, e, s, d)
		}
		return s
	},
	"refresh": func(t *testing.T, e *Engine, s *Session, to Difficulty) *Session {
		setTemplate(t, e, toyTemplate(100, 1, toyBits(5)), toyNow)
		issue(t, e, s, to)
		return s
	},
}

// TestCreditNeverExceedsIssue enumerates a toy target space: every value of the hash in 64 steps, every
// first and second difficulty, every way between them, and every issued job named in the submissions.
func TestCreditNeverExceedsIssue(t *testing.T) {
	steps := []Difficulty{1, 2, 4, 8, 16, 32, 64}
	for name, way := range ways {
		cases := 0
		for _, first := range steps {
			for _, second := range steps {
				e := cheapEngine(t)
				setTemplate(t, e, toyTemplate(100, 1, toyBits(5)), toyNow) // network difficulty 32
				s := toySession(t, e, Limits{Start: 1, Min: 1, Max: 64, SharesPerMinute: 12}, "alice")
				is := issue(t, e, s, first)
				held := map[int]*Submission{} // by the hash's step of 64
				for nonce := uint32(0); len(held) < 64; nonce++ {
					p := powOf(e, s, is, 1_700_000_000, nonce, [8]byte{})
					if k := int(p[31] >> 2); held[k] == nil {
						held[k] = &Submission{Salt: is.Salt, NTime: 1_700_000_000, Nonce: nonce}
					}
				}
				after := way(t, e, s, second)
				network := e.Job(is.JobID).NetworkWork
				for k, sub := range held {
					total := Work{}
					for _, session := range []*Session{after, s} {
						for _, named := range append(append([]Issued(nil), session.Issued...), is) {
							again := *sub
							again.Salt = named.Salt
							v := e.Submit(session, &again, toyNow)
							if named.Salt == is.Salt && session == s && v.Reject == Accepted {
								total, _ = total.Add(v.Share.Credit)
							}
							// The same numbers under another job's name are another hash: judged by that job.
							if v.Reject == Accepted && v.Share.Credit.Cmp(named.Work.Min(network)) > 0 {
								t.Fatalf("%s %v→%v: credit %v for an issue of %v", name, first, second, v.Share.Credit, named.Work)
							}
						}
					}
					p := powOf(e, s, is, sub.NTime, sub.Nonce, sub.Extranonce2)
					want := Work{}
					if is.Target.Meets(&p) {
						want = is.Work.Min(network)
					}
					if total != want {
						t.Fatalf("%s %v→%v, hash step %d: credited %v in all, issued job is worth %v", name, first, second, k, total, want)
					}
					cases++
				}
			}
		}
		if cases != len(steps)*len(steps)*64 {
			t.Fatalf("%s: %d cases", name, cases)
		}
	}
}

// TestNoStrategyGains lets each strategy do 10^7 hashes and bounds its credit per hash.
func TestNoStrategyGains(t *testing.T) {
	hashes := 10_000_000
	if testing.Short() || raceEnabled {
		hashes = 1_000_000
	}
	const high, low = Difficulty(32), Difficulty(4) // powers of two: their work is exact on the toy chain
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			e := cheapEngine(t)
			setTemplate(t, e, toyTemplate(100, 1, toyBits(40)), toyNow)
			s := toySession(t, e, Limits{Start: high, Min: 1, Max: 1024, SharesPerMinute: 12}, "alice")
			lowTarget := low.Target(e.params.DiffOne)
			var credit, naive float64
			const chunk = 100_000 // hashes between two changes of difficulty
			for done := 0; done < hashes; done += chunk {
				s.Minimum = 0
				is := issue(t, e, s, high)
				j := e.Job(is.JobID)
				en2 := [8]byte{byte(done / chunk), byte(done / chunk >> 8)}
				var h [80]byte
				root := MerkleRoot(DoubleSHA256(j.AppendCoinbase(nil, is.Salt, s.Extranonce1, &en2)), j.Branch)
				var kept []uint32
				for nonce := uint32(0); nonce < chunk; nonce++ {
					PutHeader(&h, j.Template.Version, j.Template.PrevHash, root, 1_700_000_000, j.Template.Bits, nonce)
					if p := e.cfg.Chain.PowHash(&h); lowTarget.Meets(&p) {
						kept = append(kept, nonce)
					}
				}
				after := way(t, e, s, low)
				live := after.Issued[len(after.Issued)-1]
				for _, nonce := range kept {
					sub := &Submission{Salt: is.Salt, Extranonce2: en2, NTime: 1_700_000_000, Nonce: nonce}
					for _, session := range []*Session{after, s} {
						if v := e.Submit(session, sub, toyNow); v.Reject == Accepted {
							credit += v.Share.Credit.Float64()
							naive += math.Max(live.Work.Float64(), v.Share.Credit.Float64())
							break
						}
					}
				}
				s = after
			}
			per, n := credit/float64(hashes), float64(hashes)
			upper := per + 3.09*math.Sqrt(float64(high)/n) // a share of difficulty D has variance D a hash
			limit := 1.01
			if hashes < 10_000_000 {
				limit = 1.03
			}
			t.Logf("%d hashes: credit per hash %.4f, 99.9 %% bound %.4f; crediting the live difficulty would give %.2f", hashes, per, upper, naive/n)
			if upper > limit {
				t.Errorf("credit per hash is %.4f, bound %.4f > %.2f", per, upper, limit)
			}
			if name == "suggest" && naive/n < 1.5 {
				t.Error("the test has no power: the naive rule gains nothing either")
			}
			if name == "keep" && per < 0.99 {
				t.Errorf("an honest miner gets only %.4f", per)
			}
		})
	}
}
