package stratum_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

func serve(t testing.TB, change ...func(*stratum.Options)) (*stratumtest.Running, *stratumtest.Pool) {
	t.Helper()
	p := stratumtest.NewPool(pool.SchemePPLNS, true)
	o := stratum.Options{Pool: p, Dialect: v1.New()}
	for _, f := range change {
		f(&o)
	}
	return stratumtest.Start(t, o), p
}

// closed waits until the server has counted a connection's end for a reason.
func closed(t testing.TB, s *stratum.Server, reason stratum.Close) {
	t.Helper()
	await(t, func() bool { return s.Stats().Closed[reason.String()] > 0 }, func() string {
		return fmt.Sprintf("no connection ended by %s: %v", reason, s.Stats().Closed)
	})
}

func await(t testing.TB, ok func() bool, say func() string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(say())
		}
	}
}

func TestOptions(t *testing.T) {
	f := func(o stratum.Options) {
		t.Helper()
		if _, err := stratum.New(o); err == nil {
			t.Error("accepted")
		}
	}
	p, d := stratumtest.NewPool(pool.SchemePPLNS, false), v1.New()
	good := stratumtest.Limits()
	f(stratum.Options{})
	f(stratum.Options{Pool: p, Limits: good})
	f(stratum.Options{Dialect: d, Limits: good})
	f(stratum.Options{Pool: p, Dialect: d})
	f(stratum.Options{Pool: p, Dialect: d, Limits: pool.Limits{Start: 1, Min: 2, Max: 3}})
	f(stratum.Options{Pool: p, Dialect: d, Limits: pool.Limits{Start: 4, Min: 2, Max: 3}})
	f(stratum.Options{Pool: p, Dialect: d, Limits: pool.Limits{Start: -1, Min: -2, Max: 3}})
}

// A share is answered when its commit is done, replies keep the order of requests, and a job overtakes
// what waits.
func TestReplyWaitsForCommit(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	job := c.Rig.Job
	p.Hold()
	one, id1 := c.SubmitLine(c.Find(&job))
	two, id2 := c.SubmitLine(c.Find(&job))
	three, id3 := c.SubmitLine(c.Find(&job))
	c.Send(one + "\n" + two + "\n" + `{"id":7,"method":"mining.ping"}` + "\n" + three)
	await(t, func() bool { return p.Held() == 3 }, func() string { return "shares not judged" })
	c.Silent(20 * time.Millisecond)

	p.Refresh()
	c.Expect(stratumtest.Notify)

	p.Release(1, nil)
	c.Expect(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id1))
	c.Silent(20 * time.Millisecond)
	p.Release(1, errors.New("disk full"))
	c.Expect(fmt.Sprintf(`{"id":%d,"result":null,"error":[20,"Share not recorded, please keep mining",null]}`, id2))
	c.Expect(`{"id":7,"result":"pong","error":null}`)
	p.Release(-1, nil)
	c.Expect(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id3))
}

// The job that a request brings does not overtake the reply to that request.
func TestJobFollowsItsReply(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	p.Hold()
	line, id := c.SubmitLine(c.Find(&c.Rig.Job))
	c.Send(line + "\n" + `{"id":7,"method":"mining.suggest_difficulty","params":[0.000000003]}`)
	await(t, func() bool { return p.Held() == 1 }, func() string { return "share not judged" })
	c.Silent(20 * time.Millisecond)
	p.Release(-1, nil)
	c.Expect(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
	c.Expect(`{"id":7,"result":true,"error":null}`)
	c.Expect(stratumtest.SetDifficulty)
	c.Expect(stratumtest.Notify)
}

// hasty makes another job at the moment that the server has woken for one.
type hasty struct {
	*stratumtest.Pool
	calls int
}

func (p *hasty) JobChanged() <-chan struct{} {
	if p.calls++; p.calls == 2 {
		p.Refresh()
	}
	return p.Pool.JobChanged()
}

// A job that comes while the one before it is being given out is not missed.
func TestJobsInQuickSuccession(t *testing.T) {
	p := &hasty{Pool: stratumtest.NewPool(pool.SchemePPLNS, true)}
	s := stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New()})
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	p.NextBlock()
	for c.Rig.Job.NTime != fmt.Sprintf("%08x", p.Current().Template.CurTime) {
		c.Expect(stratumtest.Notify)
	}
}

// P1: a line without end, before and after the miner is ready.
// However many ask without showing work, a rig that comes is given some.
func TestLoginPassesTheGate(t *testing.T) {
	s, _ := serve(t)
	stratum.CloseGateForTest(s.Server)
	c := stratumtest.Dial(t, s.Addr)
	c.Ask(`{"id":9,"method":"mining.ping","params":[]}`, `{"id":9,"result":"pong","error":null}`)
	c.Open("testa.rig")
	if n := s.Server.Stats().Queued; n != 0 {
		t.Errorf("%d messages waited", n)
	}
	for range 8 {
		c.Send(`{"id":9,"method":"mining.ping","params":[]}`)
	}
	await(t, func() bool { return s.Server.Stats().Queued > 0 }, func() string { return "asking on and on waits for nothing" })
}

func TestEndlessLine(t *testing.T) {
	s, _ := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	io.WriteString(c, strings.Repeat(" ", 5000))
	c.Closed()
	closed(t, s.Server, stratum.CloseLongLine)

	c = stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	c.Ask(`{"id":5,"method":"mining.ping","params":["`+strings.Repeat("x", 16000)+`"]}`, `{"id":5,"result":"pong","error":null}`)
	io.WriteString(c, strings.Repeat("{", 17000))
	c.Closed()

	c = stratumtest.Dial(t, s.Addr) // whole, but too long for a stranger
	c.Send(`{"id":5,"method":"mining.ping","params":["` + strings.Repeat("x", 5000) + `"]}`)
	c.Closed()
}

// A line may come in pieces of any size, and the connection may break in the middle of one.
func TestLineInPieces(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	line, id := c.SubmitLine(c.Find(&c.Rig.Job))
	for i := range len(line) {
		if _, err := io.WriteString(c, line[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	c.Ask("", fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))

	line, _ = c.SubmitLine(c.Find(&c.Rig.Job))
	io.WriteString(c, line) // no end of line
	c.Close()
	closed(t, s.Server, stratum.ClosePeer)
	await(t, func() bool { return p.Sessions() == 0 }, func() string { return "session not ended" })
	if n := len(p.Shares()); n != 1 {
		t.Errorf("%d shares, the second was not whole", n)
	}
}

// A peer that half-closes after its last request gets its replies.
func TestHalfClose(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	p.Hold()
	line, id := c.SubmitLine(c.Find(&c.Rig.Job))
	c.Send(line)
	c.Conn.(*net.TCPConn).CloseWrite()
	await(t, func() bool { return p.Held() == 1 }, func() string { return "share not judged" })
	p.Release(-1, nil)
	c.Expect(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
	c.Closed()
}

// P4: a flood is answered whole, no faster than the rate allows, without dropping anyone. A message that shows no
// work counts five.
func TestPipelinedFlood(t *testing.T) {
	const n, rate, burst = 3000, 20_000, 2000
	s, _ := serve(t, func(o *stratum.Options) { o.Rate, o.Burst = rate, burst })
	began := time.Now()
	c := stratumtest.Dial(t, s.Addr)
	go io.WriteString(c, strings.Repeat(`{"id":5,"method":"mining.ping"}`+"\n", n))
	for range n {
		c.Expect(`{"id":5,"result":"pong","error":null}`)
	}
	if took, least := time.Since(began), time.Second*(5*(n-1)-burst)/rate; took < least {
		t.Errorf("answered in %v, sooner than in %v", took, least)
	}
}

func TestStrikes(t *testing.T) {
	s, _ := serve(t, func(o *stratum.Options) { o.Strikes = 3 })
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	c.Ask(`x`, `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	c.Ask(`x`, `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	line, id := c.SubmitLine(c.Find(&c.Rig.Job)) // a good share makes up for it
	c.Ask(line, fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
	for range 3 {
		c.Ask(`x`, `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	}
	c.Closed()
	closed(t, s.Server, stratum.CloseMalformed)
}

func TestCaps(t *testing.T) {
	s, _ := serve(t, func(o *stratum.Options) { o.MaxConns = 2 })
	a, b := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	a.Open("testa")
	b.Open("testb")
	stratumtest.Dial(t, s.Addr).Closed()
	closed(t, s.Server, stratum.CloseFull)
	b.Close()
	await(t, func() bool { return s.Stats().Connections == 1 }, func() string { return "still counted" })
	stratumtest.Dial(t, s.Addr).Open("testc")
}

// A pool that can start no session says so and hangs up.
func TestNoSession(t *testing.T) {
	s, p := serve(t)
	p.LimitSessions(1)
	stratumtest.Dial(t, s.Addr).Open("testa")
	c := stratumtest.Dial(t, s.Addr)
	c.Ask(`{"id":1,"method":"mining.subscribe","params":[]}`, `{"id":1,"result":null,"error":[20,"No session: the pool is full",null]}`)
	c.Closed()
	closed(t, s.Server, stratum.CloseNoSession)
}

// P12: what a miner calls itself is cut and made printable before anyone sees it.
func TestAgent(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Ask(`{"id":1,"method":"mining.subscribe","params":["evil\u001b[31m\r\n\u00e9`+strings.Repeat("x", 100)+`"]}`,
		`{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<hex32>"]],"<hex8>",8],"error":null}`)
	c.Close()
	await(t, func() bool { return p.Ended() != nil }, func() string { return "session not ended" })
	if got, want := p.Ended().Agent, "evil-[31m----"+strings.Repeat("x", 64-13); got != want {
		t.Errorf("agent %q, want %q", got, want)
	}
}

// The end of a server: nobody new, nothing read, what is due is said, then everything is closed.
func TestDrain(t *testing.T) {
	s, p := serve(t)
	c, idle, stranger := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	idle.Open("testb")
	p.Hold()
	line, id := c.SubmitLine(c.Find(&c.Rig.Job))
	c.Send(line)
	await(t, func() bool { return p.Held() == 1 }, func() string { return "share not judged" })
	s.Drain()
	idle.Closed()
	stranger.Closed()
	if _, err := net.Dial("tcp", s.Addr); err == nil {
		t.Error("a draining server takes connections")
	}
	p.Release(-1, nil)
	c.Expect(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
	c.Closed()
	await(t, func() bool { return s.Stats().Connections == 0 && p.Sessions() == 0 }, func() string { return "not drained" })
	if n := s.Stats().Closed["drain"]; n != 3 {
		t.Errorf("drained %d of 3", n)
	}
}

// N2: with Reconnect the miners are sent away one after the other, to no other host, and work until then.
func TestReconnect(t *testing.T) {
	s, p := serve(t, func(o *stratum.Options) { o.Reconnect = 200 * time.Millisecond })
	clients := make([]*stratumtest.Client, 20)
	for i := range clients {
		clients[i] = stratumtest.Dial(t, s.Addr)
		clients[i].Open("testa")
	}
	p.Hold()
	line, id := clients[0].SubmitLine(clients[0].Find(&clients[0].Rig.Job))
	clients[0].Send(line)
	await(t, func() bool { return p.Held() == 1 }, func() string { return "share not judged" })
	begin := time.Now()
	s.Drain()
	p.Release(-1, nil)
	clients[0].Expect(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
	for _, c := range clients {
		if got := c.Closed(); len(got) != 1 || got[0] != `{"id":null,"method":"client.reconnect","params":[]}` {
			t.Fatalf("at the end came %q", got)
		}
	}
	if d := time.Since(begin); d < 20*time.Millisecond {
		t.Errorf("all were sent away within %v", d)
	}
	await(t, func() bool { return s.Stats().Connections == 0 }, func() string { return "not drained" })
}
