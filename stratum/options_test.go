package stratum_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
)

func authorize(c *stratumtest.Client, user, password, want string) {
	c.User = user
	c.Ask(fmt.Sprintf(`{"id":2,"method":"mining.authorize","params":[%q,%q]}`, user, password), want)
}

const (
	authorized = `{"id":2,"result":true,"error":null}`
	other      = `{"id":2,"result":false,"error":[24,"this connection mines for another address: SOLO and resumed connections have one; connect again",null]}`
)

// subscribe returns the ticket.
func subscribe(c *stratumtest.Client, ticket string) string {
	return c.Ask(fmt.Sprintf(`{"id":1,"method":"mining.subscribe","params":["test/1",%q]}`, ticket),
		`{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<ticket:hex32>"]],"<hex8>",8],"error":null}`)["ticket"]
}

func firstJob(c *stratumtest.Client) {
	c.Expect(stratumtest.SetDifficulty)
	c.Expect(stratumtest.Notify)
}

// accepted submits a share that must be.
func accepted(c *stratumtest.Client, s stratumtest.Share) {
	line, id := c.SubmitLine(s)
	c.Ask(line, fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
}

func rejected(c *stratumtest.Client, s stratumtest.Share, r pool.Reject) {
	line, id := c.SubmitLine(s)
	c.Ask(line, fmt.Sprintf(`{"id":%d,"result":null,"error":[%d,"%s",null]}`, id, r.Code(), r.Message()))
}

// D4, D6: what a password asks for is the first job's difficulty, within the listener's range and the
// network's; what it cannot mean refuses nobody.
func TestPasswordDifficulty(t *testing.T) {
	s, _ := serve(t)
	f := func(password, want string) {
		t.Helper()
		c := stratumtest.Dial(t, s.Addr)
		subscribe(c, "")
		authorize(c, "testa", password, authorized)
		firstJob(c)
		if c.Rig.Difficulty != want {
			t.Errorf("%.40q: difficulty %s, want %s", password, c.Rig.Difficulty, want)
		}
	}
	f("x", "0.000000002")
	f("d=0.00015", "0.00015")
	f("x;D=0.5,md=3", "1")
	f("md=0.25", "0.25")
	f("d=0.001,md=0.25", "0.25")
	f("d=1e-30", "0.000000001")
	f("d=100000000000000000000", "1")
	f("d=NaN,d=-1,m=prop", "0.000000002")
	f(strings.Repeat("d=,", 900), "0.000000002")

	c := stratumtest.Dial(t, s.Addr) // a suggestion says more than a password
	c.Ask(`{"id":5,"method":"mining.suggest_difficulty","params":[0.25]}`, `{"id":5,"result":true,"error":null}`)
	subscribe(c, "")
	authorize(c, "testa", "d=0.5", authorized)
	firstJob(c)
	if c.Rig.Difficulty != "0.25" {
		t.Errorf("difficulty %s", c.Rig.Difficulty)
	}
	authorize(c, "testa.second", "d=0.5,md=0.5,m=solo", authorized) // the first one's password counts
	c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
}

// m=solo gives work that pays the miner's own address, on a pool of another scheme; another account cannot
// join it.
func TestPasswordSolo(t *testing.T) {
	s, p := serve(t)
	shared, solo := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	shared.Open("testa")
	subscribe(solo, "")
	authorize(solo, "testa.rig", "m=solo", authorized)
	firstJob(solo)
	if shared.Rig.Job.Coinb2 == solo.Rig.Job.Coinb2 {
		t.Error("SOLO work pays the pool")
	}
	authorize(solo, "testb", "m=solo", other)
	authorize(solo, "testa.rig2", "x", authorized)
	accepted(solo, solo.Find(&solo.Rig.Job))
	accepted(shared, shared.Find(&shared.Rig.Job))
	authorize(shared, "testb", "m=solo", authorized) // too late to be SOLO
	shared.User = "testb"
	accepted(shared, shared.Find(&shared.Rig.Job))
	var schemes []pool.SchemeID
	for _, sh := range p.Shares() {
		schemes = append(schemes, sh.Scheme)
	}
	if got, want := fmt.Sprint(schemes), fmt.Sprint([]pool.SchemeID{pool.SchemeSOLO, pool.SchemePPLNS, pool.SchemePPLNS}); got != want {
		t.Errorf("schemes %s, want %s", got, want)
	}
}

// ended waits until the server has forgotten a closed connection.
func ended(t *testing.T, s *stratumtest.Running, c *stratumtest.Client) {
	t.Helper()
	n := s.Stats().Connections
	c.Close()
	await(t, func() bool { return s.Stats().Connections < n }, func() string { return "connection not ended" })
}

// S9: who comes back with the ticket has the work of before, and so its duplicates; a ticket is good once,
// for the same account, in the same mode; one that nobody gave out is worth nothing.
func TestResume(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	ticket := subscribe(c, "")
	authorize(c, "testa.rig", "m=solo", authorized)
	firstJob(c)
	first := c.Rig
	sent, kept := c.Find(&c.Rig.Job), c.Find(&c.Rig.Job)
	accepted(c, sent)

	live := stratumtest.Dial(t, s.Addr) // the ticket of a connection that is open is not good yet
	subscribe(live, ticket)
	if live.Rig.Extranonce1 == first.Extranonce1 {
		t.Fatal("two live connections have one extranonce1")
	}
	ended(t, s, c)

	c = stratumtest.Dial(t, s.Addr)
	c.Ask(`{"id":9,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"00ffe000"}]}`,
		`{"id":9,"result":{"version-rolling":true,"version-rolling.mask":"00ffe000"},"error":null}`)
	next := subscribe(c, ticket)
	if c.Rig.Extranonce1 != first.Extranonce1 || next == ticket {
		t.Fatalf("not resumed: extranonce1 %s, was %s; ticket %s, was %s", c.Rig.Extranonce1, first.Extranonce1, next, ticket)
	}
	authorize(c, "testb", "x", other)
	authorize(c, "testa.rig", "x", authorized) // the mode is kept
	firstJob(c)
	if c.Rig.Job.Coinb2 != first.Job.Coinb2 {
		t.Error("the mode was not kept")
	}
	c.User = "testa.rig"
	rejected(c, sent, pool.RejectDuplicate)
	accepted(c, kept)

	again := stratumtest.Dial(t, s.Addr)
	subscribe(again, ticket)
	authorize(again, "testa.rig", "x", authorized)
	firstJob(again)
	if again.Rig.Extranonce1 == first.Extranonce1 {
		t.Error("a ticket was good twice")
	}
	again.User = "testa.rig"
	rejected(again, sent, pool.RejectUnknownJob)
	ended(t, s, c)

	for _, wrong := range []string{strings.Repeat("0", 32), strings.ToUpper(next)[:31] + "g", next[:31], next + "0", first.Extranonce1} {
		w := stratumtest.Dial(t, s.Addr)
		subscribe(w, wrong)
		if w.Rig.Extranonce1 == first.Extranonce1 {
			t.Errorf("resumed by %q", wrong)
		}
	}
	w := stratumtest.Dial(t, s.Addr) // authorized before: only the same account gets it
	authorize(w, "testb", "x", authorized)
	subscribe(w, next)
	if w.Rig.Extranonce1 == first.Extranonce1 {
		t.Error("another account resumed a session")
	}
	w = stratumtest.Dial(t, s.Addr)
	authorize(w, "testa", "x", authorized)
	subscribe(w, next)
	if w.Rig.Extranonce1 != first.Extranonce1 {
		t.Error("not resumed after authorize")
	}
	if s.Stats().Resumed != 2 {
		t.Errorf("%d resumed", s.Stats().Resumed)
	}
	if n := len(p.Shares()); n != 2 {
		t.Errorf("%d shares", n)
	}
}

// Which bits may be rolled is the listener's to say, and may change: who negotiated is told, gets a job, and
// older jobs take what they took.
func TestVersionMasks(t *testing.T) {
	const configure = `{"id":9,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}`
	f := func(change func(*stratum.Options), want string) {
		t.Helper()
		s, _ := serve(t, change)
		stratumtest.Dial(t, s.Addr).Ask(configure, want)
	}
	f(func(o *stratum.Options) {}, `{"id":9,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}`)
	f(func(o *stratum.Options) { o.VersionMask = pool.MaskBIP323 }, `{"id":9,"result":{"version-rolling":true,"version-rolling.mask":"1fffffe0"},"error":null}`)
	f(func(o *stratum.Options) { o.FixVersion = true }, `{"id":9,"result":{"version-rolling":false},"error":null}`)

	s, _ := serve(t)
	c, plain := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	c.Ask(configure, `{"id":9,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}`)
	c.Open("testa")
	plain.Open("testb")
	roll := func(c *stratumtest.Client, j *stratumtest.Job, bits uint32, want string) {
		t.Helper()
		sh, err := j.Find(c.Rig.Extranonce1, fmt.Sprintf("%016x", bits), bits, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Ask(fmt.Sprintf(`{"id":5,"method":"mining.submit","params":[%q,%q,%q,%q,%q,%q]}`, c.User, sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce, sh.VersionBits), want)
	}
	old := c.Rig.Job
	s.SetVersionMask(0x00ffe000)
	c.Expect(`{"id":null,"method":"mining.set_version_mask","params":["00ffe000"]}`)
	c.Expect(stratumtest.Notify)
	roll(c, &old, 0x1fffe000, `{"id":5,"result":true,"error":null}`)
	roll(c, &c.Rig.Job, 0x01000000, `{"id":5,"result":null,"error":[20,"Version bits outside the mask 00ffe000",null]}`)
	roll(c, &c.Rig.Job, 0x00ffe000, `{"id":5,"result":true,"error":null}`)
	plain.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`) // not told
}

// A miner that did not say what it is, is asked once, after its first job.
func TestGetVersion(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Ask(`{"id":1,"method":"mining.subscribe","params":[]}`, `{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<hex32>"]],"<hex8>",8],"error":null}`)
	authorize(c, "testa", "x", authorized)
	firstJob(c)
	c.Expect(`{"id":2021,"method":"client.get_version","params":[]}`)
	c.Send(`{"id":2021,"result":"old\u001brig/1","error":null}`)
	c.Send(`{"id":2021,"result":"second thought","error":null}`)
	p.Refresh()
	c.Expect(stratumtest.Notify)
	c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
	ended(t, s, c)
	if got := p.Ended().Agent; got != "old-rig/1" {
		t.Errorf("agent %q", got)
	}
}

func TestShowMessage(t *testing.T) {
	s, _ := serve(t)
	c, stranger := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	s.ShowMessage("we move \"tomorrow\"\n" + strings.Repeat("x", 300))
	c.Expect(`{"id":null,"method":"client.show_message","params":["we move \"tomorrow\"-` + strings.Repeat("x", 256-19) + `"]}`)
	stranger.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
}
