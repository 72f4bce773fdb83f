package pool

import (
	"bytes"
	"testing"
	"time"
)

var toyNow = time.Unix(1_700_000_000, 0)

func toyEngine(t *testing.T, scheme SchemeID, feePPM uint32) *Engine {
	t.Helper()
	e, err := NewEngine(EngineConfig{
		PoolID: "toy", Chain: newToyChain(), Scheme: scheme, Tag: "/adit/", Epoch: 7,
		RewardScript: []byte("reward"), FeePPM: feePPM,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func toySession(t *testing.T, e *Engine, l Limits, user string) *Session {
	t.Helper()
	s, err := e.NewSession(l)
	if err != nil {
		t.Fatal(err)
	}
	script := []byte(user)
	s.Workers = append(s.Workers, Worker{User: user, Script: script, Account: AccountOf("toy", script)})
	return s
}

func setTemplate(t *testing.T, e *Engine, tm *Template, now time.Time) *Job {
	t.Helper()
	j, err := e.SetTemplate(tm, now)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func issue(t *testing.T, e *Engine, s *Session, d Difficulty) Issued {
	t.Helper()
	s.Wanted = d
	is, _, err := e.Issue(s, toyNow)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// powOf is the hash of a submission as a miner would compute it.
func powOf(e *Engine, s *Session, is Issued, ntime, nonce uint32, en2 [8]byte) Hash {
	j := e.Job(is.JobID)
	cb := j.AppendCoinbase(nil, is.Salt, is.Extranonce1, &en2)
	var h [80]byte
	PutHeader(&h, j.Template.Version, j.Template.PrevHash, MerkleRoot(DoubleSHA256(cb), j.Branch), ntime, j.Template.Bits, nonce)
	return e.cfg.Chain.PowHash(&h)
}

// find returns a submission whose hash meets want but not above.
func find(e *Engine, s *Session, is Issued, want, above Target) *Submission {
	for nonce := uint32(0); ; nonce++ {
		p := powOf(e, s, is, toyTemplate(1, 0, 0).CurTime, nonce, [8]byte{})
		if want.Meets(&p) && !above.Meets(&p) {
			return &Submission{Salt: is.Salt, NTime: 1_700_000_000, Nonce: nonce}
		}
	}
}

var fixed64 = Limits{Start: 64, Min: 1, Max: 1 << 20}

func TestSubmitVerdicts(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
	s := toySession(t, e, fixed64, "alice")
	is := issue(t, e, s, 64)
	network := e.Current().NetworkTarget
	good := find(e, s, is, is.Target, network)

	f := func(name string, change func(*Submission), want Reject) {
		t.Helper()
		sub := *good
		change(&sub)
		if v := e.Submit(s, &sub, toyNow); v.Reject != want || v.Candidate != nil {
			t.Errorf("%s: %v (candidate %v), want %v", name, v.Reject, v.Candidate != nil, want)
		}
	}
	f("worker out of range", func(u *Submission) { u.Worker = 1 }, RejectUnauthorized)
	f("negative worker", func(u *Submission) { u.Worker = -1 }, RejectUnauthorized)
	f("unknown salt", func(u *Submission) { u.Salt++ }, RejectUnknownJob)
	f("ntime before mintime", func(u *Submission) { u.NTime = 1_699_998_999 }, RejectNTime)
	f("ntime too far ahead", func(u *Submission) { u.NTime = 1_700_000_601 }, RejectNTime)
	f("bits outside the mask", func(u *Submission) { u.HasVersion, u.VersionBits = true, 0x2000 }, RejectVersion)
	f("good", func(*Submission) {}, Accepted)
	f("again", func(*Submission) {}, RejectDuplicate)
	low := find(e, s, is, Difficulty(1).Target(e.params.DiffOne), is.Target)
	f("low", func(u *Submission) { *u = *low }, RejectLowDifficulty)

	other := toySession(t, e, fixed64, "bob")
	issue(t, e, other, 64)
	if v := e.Submit(other, good, toyNow); v.Reject != RejectUnknownJob {
		t.Errorf("a job issued to another session: %v", v.Reject)
	}
}

func TestSubmitShare(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	j := setTemplate(t, e, toyTemplate(100, 1, toyBits(16)), toyNow)
	s := toySession(t, e, fixed64, "alice")
	is := issue(t, e, s, 64)
	v := e.Submit(s, find(e, s, is, is.Target, j.NetworkTarget), toyNow)
	sh := v.Share
	if v.Reject != Accepted || sh.Credit != is.Work || sh.Issued != is.Work || sh.Flags != 0 ||
		sh.Bits != j.Template.Bits || sh.Job != j.ID || sh.Account != s.Workers[0].Account {
		t.Fatalf("%+v", v)
	}
	if got := is.Work; got.Cmp(WorkOf(64)) != 0 {
		t.Fatalf("work of difficulty 64 on a full-range chain: %v", got)
	}
}

func TestBlockBeforeShareTarget(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	j := setTemplate(t, e, toyTemplate(100, 1, toyBits(4)), toyNow) // a block each 16 hashes
	s := toySession(t, e, Limits{Start: 64, Min: 64, Max: 1 << 20}, "alice")
	is := issue(t, e, s, 64)
	if is.Difficulty != 64 {
		t.Fatalf("listener minimum not kept: %v", is.Difficulty)
	}
	v := e.Submit(s, find(e, s, is, j.NetworkTarget, is.Target), toyNow)
	if v.Reject != Accepted || v.Candidate == nil || !v.Share.Credit.IsZero() || v.Share.Flags != ShareBlock|ShareEarly {
		t.Fatalf("block above the share target: %+v", v)
	}
	v = e.Submit(s, find(e, s, is, is.Target, Target{}), toyNow)
	if v.Candidate == nil || v.Share.Credit != j.NetworkWork {
		t.Fatalf("credit is %v, want the network's %v", v.Share.Credit, j.NetworkWork)
	}
	if header := [80]byte(v.Candidate.Block); v.Candidate.Hash != e.cfg.Chain.BlockID(&header) || v.Candidate.Height != 100 || v.Candidate.Epoch != 7 {
		t.Fatalf("%+v", v.Candidate)
	}
}

func TestStaleAndLateBlock(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	j := setTemplate(t, e, toyTemplate(100, 1, toyBits(12)), toyNow)
	s := toySession(t, e, fixed64, "alice")
	is := issue(t, e, s, 64)
	share := find(e, s, is, is.Target, j.NetworkTarget)
	block := find(e, s, is, j.NetworkTarget, Target{})

	refreshed := setTemplate(t, e, toyTemplate(100, 1, toyBits(12)), toyNow)
	if refreshed.Clean {
		t.Fatal("a refresh of the same tip is clean")
	}
	if v := e.Submit(s, share, toyNow); v.Reject != Accepted {
		t.Fatalf("share for the job before a refresh: %v", v.Reject)
	}
	if !setTemplate(t, e, toyTemplate(101, 2, toyBits(12)), toyNow).Clean {
		t.Fatal("a new tip is not clean")
	}
	if v := e.Submit(s, share, toyNow); v.Reject != RejectDuplicate && v.Reject != RejectStale {
		t.Fatalf("old share: %v", v.Reject)
	}
	if v := e.Submit(s, block, toyNow); v.Reject != RejectStale || v.Candidate == nil || !v.Candidate.Share.Credit.IsZero() {
		t.Fatalf("late block: %+v", v)
	}
	if v := e.Submit(s, block, toyNow); v.Candidate != nil {
		t.Fatal("late block given out twice")
	}
	setTemplate(t, e, toyTemplate(102, 3, toyBits(12)), toyNow)
	if v := e.Submit(s, block, toyNow); v.Reject != RejectUnknownJob {
		t.Fatalf("job of the tip before the last: %v", v.Reject)
	}
}

func TestSoloPaysTheFinder(t *testing.T) {
	e := toyEngine(t, SchemeSOLO, 10_000) // 1 %
	setTemplate(t, e, toyTemplate(100, 1, toyBits(8)), toyNow)
	a, b := toySession(t, e, fixed64, "alice"), toySession(t, e, fixed64, "bob")
	ia, ib := issue(t, e, a, 64), issue(t, e, b, 64)
	ja, jb := e.Job(ia.JobID), e.Job(ib.JobID)
	if ja.ID == jb.ID || !bytes.Contains(ja.Suffix, []byte("alice")) || !bytes.Contains(jb.Suffix, []byte("bob")) ||
		!bytes.Contains(ja.Suffix, []byte("reward")) || ja.Payee != a.Workers[0].Account {
		t.Fatalf("solo jobs: %+v %+v", ja, jb)
	}
	a2 := toySession(t, e, fixed64, "alice")
	if e.Job(issue(t, e, a2, 64).JobID) != ja {
		t.Error("two sessions of one account do not share a job")
	}
}

// The fee of SOLO work is the one for its height and its finder.
func TestSoloFeeByHeightAndFinder(t *testing.T) {
	alice := AccountOf("toy", []byte("alice"))
	suffix := func(height int64, user string, e *Engine) []byte {
		t.Helper()
		setTemplate(t, e, toyTemplate(height, byte(height), toyBits(8)), toyNow)
		s := toySession(t, e, fixed64, user)
		return e.Job(issue(t, e, s, 64).JobID).Suffix
	}
	e := toyEngine(t, SchemeSOLO, 1)
	e.cfg.SoloFee = func(height int64, account AccountID) uint32 {
		if height >= 101 && account == alice {
			return 20_000
		}
		return 10_000
	}
	for _, tt := range []struct {
		height int64
		user   string
		ppm    uint32
	}{{100, "alice", 10_000}, {101, "alice", 20_000}, {102, "bob", 10_000}} {
		if got, want := suffix(tt.height, tt.user, e), suffix(tt.height, tt.user, toyEngine(t, SchemeSOLO, tt.ppm)); !bytes.Equal(got, want) {
			t.Errorf("%+v: coinbase ends with %x, wants %x", tt, got, want)
		}
		if got, other := suffix(tt.height, tt.user, e), suffix(tt.height, tt.user, toyEngine(t, SchemeSOLO, tt.ppm+5_000)); bytes.Equal(got, other) {
			t.Errorf("%+v: another fee gives the same coinbase", tt)
		}
	}
}

func TestSeenTableIsBounded(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	setTemplate(t, e, toyTemplate(100, 1, toyBits(40)), toyNow)
	s := toySession(t, e, Limits{Start: 1, Min: 1, Max: 1}, "alice") // every hash is a share
	is := issue(t, e, s, 1)
	sub := &Submission{Salt: is.Salt, NTime: 1_700_000_000}
	for {
		v := e.Submit(s, sub, toyNow)
		if v.Reject != Accepted {
			t.Fatal(v.Reject)
		}
		if v.Renew {
			break
		}
		sub.Nonce++
	}
	if is := issue(t, e, s, 1); !is.Clean || len(s.Seen) != 0 {
		t.Fatalf("renewed: clean %v, %d seen", is.Clean, len(s.Seen))
	}
	if v := e.Submit(s, sub, toyNow); v.Reject != RejectUnknownJob {
		t.Fatalf("a share of a retired issue: %v", v.Reject)
	}
}

func TestJobsAreRetired(t *testing.T) {
	e := toyEngine(t, SchemePPLNS, 0)
	first := setTemplate(t, e, toyTemplate(100, 1, toyBits(12)), toyNow)
	for range maxGenerations - 1 {
		setTemplate(t, e, toyTemplate(100, 1, toyBits(12)), toyNow)
	}
	if e.Job(first.ID) == nil {
		t.Fatal("retired too early")
	}
	setTemplate(t, e, toyTemplate(100, 1, toyBits(12)), toyNow)
	if e.Job(first.ID) != nil {
		t.Fatal("kept for ever")
	}
}

func TestWorstCaseCoinbaseIsCheckedAtStart(t *testing.T) {
	if _, err := NewEngine(EngineConfig{PoolID: "toy", Chain: refusing{newToyChain()}}); err == nil {
		t.Fatal("started with a coinbase that cannot be built")
	}
}

type refusing struct{ *toyChain }

func (refusing) Coinbase(_ *Template, spec *CoinbaseSpec) ([]byte, []byte, error) {
	if len(spec.Aux) == MaxAuxSize && spec.ExtranonceSize == ExtranonceSize {
		return nil, nil, ErrOverflow
	}
	return nil, nil, nil
}

func BenchmarkSubmit(b *testing.B) {
	e, _ := NewEngine(EngineConfig{PoolID: "toy", Chain: newToyChain(), RewardScript: []byte("reward")})
	tm := toyTemplate(100, 1, toyBits(60))
	tm.Txs = make([]TemplateTx, 3000)
	if _, err := e.SetTemplate(tm, toyNow); err != nil {
		b.Fatal(err)
	}
	s, _ := e.NewSession(Limits{Start: 1 << 30, Min: 1 << 30, Max: 1 << 30})
	s.Workers = []Worker{{User: "a"}}
	is, _, _ := e.Issue(s, toyNow)
	sub := &Submission{Salt: is.Salt, NTime: 1_700_000_000}
	b.ReportAllocs()
	for b.Loop() {
		sub.Nonce++
		e.Submit(s, sub, toyNow)
	}
}
