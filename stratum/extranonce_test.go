package stratum_test

import (
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

const setExtranonce = `{"id":null,"method":"mining.set_extranonce","params":["<extranonce1:hex8>",8]}`

// When extranonce1 values are used up, who takes mining.set_extranonce gets another one before its next job and
// may still hand in what it found; who does not is sent away to connect again, its replies and shares safe, and
// may come back for the rest.
func TestSetExtranonce(t *testing.T) {
	p := stratumtest.NewPoolOf(stratumtest.PoolOptions{Scheme: pool.SchemePPLNS, Extranonces: 64})
	p.NextBlock()
	s := stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New()})
	for range 8 { // so that no number comes again in the next space
		subscribe(stratumtest.Dial(t, s.Addr), "")
	}
	movable, asked, fixed := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	movable.Open("testa")
	movable.Ask(`{"id":3,"method":"mining.extranonce.subscribe","params":[]}`, `{"id":3,"result":true,"error":null}`)
	asked.Ask(`{"id":1,"method":"mining.configure","params":[["subscribe-extranonce"],{}]}`, `{"id":1,"result":{"subscribe-extranonce":true},"error":null}`)
	asked.Open("testb")
	fixed.User = "testc"
	ticket := subscribe(fixed, "")
	authorize(fixed, "testc", "x", authorized)
	firstJob(fixed)

	before := movable.Rig.Extranonce1
	late, kept := movable.Find(&movable.Rig.Job), fixed.Find(&fixed.Rig.Job)
	p.Move()
	for _, c := range []*stratumtest.Client{movable, asked} {
		c.Expect(setExtranonce)
		if clean := c.Expect(stratumtest.Notify)["clean"]; clean != "true" {
			t.Errorf("clean is %s", clean)
		}
		accepted(c, c.Find(&c.Rig.Job))
	}
	if movable.Rig.Extranonce1 == before {
		t.Error("the same extranonce1")
	}
	accepted(movable, late)
	fixed.Expect(`{"id":null,"method":"client.reconnect","params":[]}`)
	fixed.Closed()
	closed(t, s.Server, stratum.CloseMoved)

	back := stratumtest.Dial(t, s.Addr)
	back.User = "testc"
	subscribe(back, ticket)
	if back.Rig.Extranonce1 == movable.Rig.Extranonce1 || back.Rig.Extranonce1 == asked.Rig.Extranonce1 {
		t.Error("an extranonce1 was given twice")
	}
	authorize(back, "testc", "x", authorized)
	firstJob(back)
	accepted(back, kept)
	accepted(back, back.Find(&back.Rig.Job))
	if r := p.Rejects(); len(r) > 0 {
		t.Errorf("rejects %v", r)
	}
}
