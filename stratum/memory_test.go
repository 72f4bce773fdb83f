package stratum_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// A pool's listeners remember together: who comes back to another one has its session, and its difficulty.
func TestListenersRememberTogether(t *testing.T) {
	p, m := stratumtest.NewPool(pool.SchemePPLNS, true), stratum.NewMemory(stratum.MemoryOptions{})
	var at [2]*stratumtest.Running
	for i := range at {
		at[i] = stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New(), Memory: m})
	}
	c := stratumtest.Dial(t, at[0].Addr)
	c.User = "testa.rig"
	ticket := subscribe(c, "")
	authorize(c, "testa.rig", "d=0.000000003", authorized)
	firstJob(c)
	extranonce1, kept := c.Rig.Extranonce1, c.Find(&c.Rig.Job)
	accepted(c, c.Find(&c.Rig.Job))
	ended(t, at[0], c)

	fresh := stratumtest.Dial(t, at[1].Addr)
	fresh.Open("testa.rig")
	if fresh.Rig.Difficulty != "0.000000003" {
		t.Errorf("begins at %s", fresh.Rig.Difficulty)
	}
	c = stratumtest.Dial(t, at[1].Addr)
	c.User = "testa.rig"
	subscribe(c, ticket)
	if c.Rig.Extranonce1 != extranonce1 {
		t.Error("not resumed")
	}
	authorize(c, "testa.rig", "x", authorized)
	firstJob(c)
	accepted(c, kept)
}

// A share that the disk did not take is one that was never seen: sent again it is judged anew, on the
// connection and after a return.
func TestLostShareMayComeAgain(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.User = "testa"
	ticket := subscribe(c, "")
	authorize(c, "testa", "x", authorized)
	firstJob(c)
	first, second := c.Find(&c.Rig.Job), c.Find(&c.Rig.Job)
	p.Hold()
	line, id := c.SubmitLine(first)
	c.Send(line)
	await(t, func() bool { return p.Held() == 1 }, func() string { return "not submitted" })
	p.Release(-1, errors.New("disk full"))
	c.Expect(fmt.Sprintf(`{"id":%d,"result":null,"error":[20,"Share not recorded, please keep mining",null]}`, id))
	line, id = c.SubmitLine(first)
	c.Send(line)
	await(t, func() bool { return p.Held() == 1 }, func() string { return "not judged anew" })
	p.Release(-1, nil)
	c.Expect(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
	rejected(c, first, pool.RejectDuplicate)

	line, _ = c.SubmitLine(second)
	c.Send(line)
	await(t, func() bool { return p.Held() == 1 }, func() string { return "not submitted" })
	c.Close()
	p.Release(-1, errors.New("disk full"))
	await(t, func() bool { return s.Stats().Connections == 0 }, func() string { return "not ended" })
	c = stratumtest.Dial(t, s.Addr)
	c.User = "testa"
	subscribe(c, ticket)
	authorize(c, "testa", "x", authorized)
	firstJob(c)
	line, _ = c.SubmitLine(second)
	c.Send(line)
	await(t, func() bool { return p.Held() == 1 }, func() string { return "not judged anew after the return" })
	p.Release(-1, nil)
	c.Line()
}

// Beyond the cap kept sessions go first, then who has no work makes room, then shares of older jobs are
// forgotten behind a clean job, and a newcomer is refused; the others mine on.
func TestMemoryCap(t *testing.T) {
	const conns = 20
	m := stratum.NewMemory(stratum.MemoryOptions{Cap: conns * stratum.CostConnForTest})
	s, _ := serve(t, func(o *stratum.Options) { o.Memory = m })
	var strangers []*stratumtest.Client
	for range conns + 4 {
		c := stratumtest.Dial(t, s.Addr)
		c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
		strangers = append(strangers, c)
	}
	for _, c := range strangers[:3] {
		c.Closed()
	}
	closed(t, s.Server, stratum.CloseEvicted)
	if held := m.Held(); held > (conns+2)*stratum.CostConnForTest {
		t.Errorf("%d bytes are held", held)
	}
	for _, c := range strangers {
		c.Close()
	}
	await(t, func() bool { return s.Stats().Connections == 0 }, func() string { return "not ended" })
	if held := m.Held(); held != 0 {
		t.Errorf("%d bytes are held by nobody", held)
	}

	busy := stratumtest.Dial(t, s.Addr)
	busy.Open("testbusy")
	share := busy.Find(&busy.Rig.Job)
	accepted(busy, share)
	var miners []*stratumtest.Client
	for i := range conns - 1 {
		c := stratumtest.Dial(t, s.Addr)
		c.Open(fmt.Sprintf("testa.%d", i))
		miners = append(miners, c)
	}
	last := stratumtest.Dial(t, s.Addr)
	if lines := last.Closed(); len(lines) > 0 {
		t.Errorf("a newcomer got %q", lines)
	}
	closed(t, s.Server, stratum.CloseMemory)
	rejected(busy, share, pool.RejectDuplicate)
	for _, c := range miners {
		accepted(c, c.Find(&c.Rig.Job))
	}
}

// A session that did much more than others forgets it before anybody is ended.
func TestCrowdedSessionForgets(t *testing.T) {
	m := stratum.NewMemory(stratum.MemoryOptions{Cap: 10 * stratum.CostConnForTest})
	s, _ := serve(t, func(o *stratum.Options) { o.Memory = m })
	c, other := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	other.Open("testb")
	stratum.SeeForTest(s.Server, "testa", 5000)
	line, id := c.SubmitLine(c.Find(&c.Rig.Job))
	c.Send(line)
	answered, clean := false, false
	for !answered || !clean {
		switch got := c.Line(); {
		case matches(stratumtest.Notify, got):
			clean = strings.HasSuffix(got, "true]}")
		case matches(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id), got):
			answered = true
		default:
			t.Fatalf("got %s", got)
		}
	}
	await(t, func() bool { return m.Held() < 4*stratum.CostConnForTest }, func() string { return fmt.Sprint(m.Held(), " bytes are held") })
	accepted(c, c.Find(&c.Rig.Job))
	accepted(other, other.Find(&other.Rig.Job))
	if n := s.Stats().Crowded; n != 1 {
		t.Errorf("%d sessions forgot", n)
	}
}
