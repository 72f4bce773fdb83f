package stratum_test

import (
	"fmt"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// wish suggests a difficulty that brings a job at once.
func wish(c *stratumtest.Client, difficulty string) {
	c.Ask(`{"id":6,"method":"mining.suggest_difficulty","params":[`+difficulty+`]}`, `{"id":6,"result":true,"error":null}`)
	c.Expect(`{"id":null,"method":"mining.set_difficulty","params":[` + difficulty + `]}`)
	c.Expect(stratumtest.Notify)
}

func target1(t *testing.T) pool.Target {
	t.Helper()
	one, err := pool.TargetFromBits(0x1d00ffff)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func lastShare(t *testing.T, p *stratumtest.Pool) *pool.Share {
	t.Helper()
	all := p.Shares()
	if len(all) == 0 {
		t.Fatal("no share")
	}
	return &all[len(all)-1]
}

// creditIs checks the last share's credit: the work of a difficulty, or nothing.
func creditIs(t *testing.T, p *stratumtest.Pool, difficulty string) {
	t.Helper()
	var want pool.Work
	if difficulty != "" {
		target, err := pool.TargetForDifficulty(target1(t), difficulty)
		if err != nil {
			t.Fatal(err)
		}
		want = target.Work()
	}
	if got := lastShare(t, p).Credit; got != want {
		t.Errorf("credited %v, want %v", got, want)
	}
}

func TestD1CreditIsTheIssuedDifficulty(t *testing.T) {
	c, p := ready(t)
	old := c.Rig.Job
	wish(c, "0.00000002") // ten times as much, and shares of before still come
	accepted(c, c.Find(&old))
	creditIs(t, p, "0.000000002")
	accepted(c, c.Find(&c.Rig.Job))
	creditIs(t, p, "0.00000002")
}

func TestD2NoRejectsAroundAChange(t *testing.T) {
	c, p := ready(t)
	old := c.Rig.Job
	wish(c, "0.00000002")
	between := old // meets the old difficulty and not the new one
	sh, err := between.Find(c.Rig.Extranonce1, "00000000000000aa", 0, 0, stratumtest.Target("0.00000002"))
	if err != nil {
		t.Fatal(err)
	}
	accepted(c, sh)
	creditIs(t, p, "0.000000002")

	c, p = ready(t)
	old = c.Rig.Job
	wish(c, "0.000000001") // firmware applies a lower difficulty to the job in hand at once
	weak := old
	weak.Difficulty = "0.000000001"
	if sh, err = weak.Find(c.Rig.Extranonce1, "00000000000000aa", 0, 0, stratumtest.Target("0.000000002")); err != nil {
		t.Fatal(err)
	}
	accepted(c, sh)
	creditIs(t, p, "")
	accepted(c, c.Find(&old))
	creditIs(t, p, "0.000000002")
	if r := p.Rejects(); len(r) != 0 {
		t.Errorf("rejects %v", r)
	}
}

func TestD3DifficultyAfterTheHash(t *testing.T) {
	c, p := ready(t)
	good := c.Rig.Job // a share that is worth a hundred times as much, kept back
	good.Difficulty = "0.0000002"
	sh := c.Find(&good)
	c.Ask(`{"id":6,"method":"mining.configure","params":[["minimum-difficulty"],{"minimum-difficulty.value":0.0000002}]}`,
		`{"id":6,"result":{"minimum-difficulty":true},"error":null}`)
	firstJob(c)
	accepted(c, sh)
	creditIs(t, p, "0.000000002")
	for _, d := range []string{"0.0000003", "0.0000004", "0.0000005"} { // once a minute a wish brings a job
		c.Ask(`{"id":6,"method":"mining.suggest_difficulty","params":[`+d+`]}`, `{"id":6,"result":true,"error":null}`)
	}
	c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
}

func TestD4DifficultyAboveTheNetwork(t *testing.T) {
	p := stratumtest.NewPoolOf(stratumtest.PoolOptions{Scheme: pool.SchemePPLNS, Bits: 0x207fffff})
	p.NextBlock()
	l := stratumtest.Limits()
	l.Min, l.Start = 1e-12, 1e-12
	c := stratumtest.Dial(t, stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New(), Limits: l}).Addr)
	subscribe(c, "")
	authorize(c, "testa", "d=100000000000000000000", authorized)
	firstJob(c)
	if c.Rig.Difficulty != "0.000000000466" {
		t.Errorf("difficulty %s, the network's is 0.000000000466", c.Rig.Difficulty)
	}
	accepted(c, c.Find(&c.Rig.Job))
	if sh := lastShare(t, p); sh.Credit.Cmp(p.Current().NetworkWork) > 0 {
		t.Errorf("credit %v is above the network's %v", sh.Credit, p.Current().NetworkWork)
	}
}

func TestD5BlockBeforeShare(t *testing.T) {
	p := stratumtest.NewPoolOf(stratumtest.PoolOptions{Scheme: pool.SchemePPLNS, Bits: 0x207fffff})
	p.NextBlock()
	l := pool.Limits{Start: 1e-6, Min: 1e-6, Max: 1}
	c := stratumtest.Dial(t, stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New(), Limits: l}).Addr)
	c.Open("testa")
	block := c.Rig.Job
	block.Difficulty = "0.000000000466"
	sh, err := block.Find(c.Rig.Extranonce1, "00000000000000aa", 0, 0, stratumtest.Target("0.000001"))
	if err != nil {
		t.Fatal(err)
	}
	accepted(c, sh)
	if p.Blocks() != 1 || !lastShare(t, p).Credit.IsZero() {
		t.Errorf("%d blocks, credit %v", p.Blocks(), lastShare(t, p).Credit)
	}
}

// TestRequests has the rest of D6 for suggestions, TestPasswordDifficulty for passwords.
func TestD6Values(t *testing.T) {
	c, _ := ready(t)
	for _, bad := range []string{`0`, `-1`, `"NaN"`, `"+Inf"`, `1e999`, `"1e-"`, `""`, `null`, `{}`, `[1]`, `"0x1p3"`} {
		c.Ask(`{"id":6,"method":"mining.suggest_difficulty","params":[`+bad+`]}`, `{"id":6,"result":false,"error":[20,"A difficulty is a number above zero",null]}`)
		if bad == "0" {
			continue // takes a minimum back
		}
		c.Ask(`{"id":6,"method":"mining.configure","params":[["minimum-difficulty"],{"minimum-difficulty.value":`+bad+`}]}`,
			`{"id":6,"result":{"minimum-difficulty":false},"error":null}`)
	}
	c.Ask(`{"id":6,"method":"mining.suggest_difficulty","params":[1e300]}`, `{"id":6,"result":true,"error":null}`)
	c.Expect(`{"id":null,"method":"mining.set_difficulty","params":[1]}`) // the network's
	c.Expect(stratumtest.Notify)
	c.Ask(`{"id":6,"method":"mining.suggest_difficulty","params":[1e-300]}`, `{"id":6,"result":true,"error":null}`)
}

func TestD7NoTolerance(t *testing.T) {
	c, _ := ready(t)
	near := c.Rig.Job
	near.Difficulty = ratio(c.Rig.Difficulty, 99, 100)
	sh, err := near.Find(c.Rig.Extranonce1, "00000000000000aa", 0, 0, stratumtest.Target(c.Rig.Difficulty))
	if err != nil {
		t.Fatal(err)
	}
	rejected(c, sh, pool.RejectLowDifficulty)
}

func TestD8NoGraceForNewJobs(t *testing.T) {
	c, p := ready(t)
	wish(c, "0.00000002")
	for range 3 {
		p.Refresh()
		c.Expect(stratumtest.Notify)
	}
	weak := c.Rig.Job
	weak.Difficulty = "0.000000002"
	sh, err := weak.Find(c.Rig.Extranonce1, "00000000000000aa", 0, 0, stratumtest.Target("0.00000002"))
	if err != nil {
		t.Fatal(err)
	}
	rejected(c, sh, pool.RejectLowDifficulty)
}

// D9: a worker that comes back begins where it was, and another does not.
func TestD9ReconnectDoesNotReset(t *testing.T) {
	s, _ := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	subscribe(c, "")
	authorize(c, "testa.rig", "d=0.000000003", authorized)
	firstJob(c)
	accepted(c, c.Find(&c.Rig.Job))
	ended(t, s, c)
	for user, want := range map[string]string{"testa.rig": "0.000000003", "testa.rig2": "0.000000002", "testb.rig": "0.000000002"} {
		c := stratumtest.Dial(t, s.Addr)
		c.Open(user)
		if c.Rig.Difficulty != want {
			t.Errorf("%s: %s, want %s", user, c.Rig.Difficulty, want)
		}
	}
}

// A million worker names are a bounded table of difficulties.
func TestManyNamesAreForgotten(t *testing.T) {
	l := stratumtest.Limits()
	s, err := stratum.New(stratum.Options{Pool: stratumtest.NewPool(pool.SchemePPLNS, true), Dialect: v1.New(), Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1_000_000 {
		stratum.RememberForTest(s, fmt.Sprint(i), 5)
	}
	if n := stratum.RememberedForTest(s); n > 2<<16 {
		t.Errorf("%d names are remembered", n)
	}
}
