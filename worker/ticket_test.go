package worker

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// The session's id is sent when the connection broke, once, and to its own pool only.
func TestResumes(t *testing.T) {
	p := listen(t)
	start(t, p, nil)
	opened := func(want ...any) (*peer, call) {
		t.Helper()
		peer := p.accept()
		peer.send(`{"id":%s,"result":null,"error":[20,"no",null]}`, peer.expect("mining.configure").id)
		c := peer.expect("mining.subscribe")
		if len(c.params) != 1+len(want) || len(want) == 1 && c.params[1] != want[0] {
			t.Fatalf("subscribe %v, want the agent and %v", c.params, want)
		}
		return peer, c
	}
	login := func(peer *peer, c call, id, extranonce1 string) {
		t.Helper()
		peer.send(`{"id":%s,"result":[[["mining.set_difficulty","d"],["mining.notify","%s"]],"%s",4],"error":null}`, c.id, id, extranonce1)
		peer.send(`{"id":%s,"result":true,"error":null}`, peer.expect("mining.authorize").id)
		peer.expect("mining.extranonce.subscribe")
		peer.difficulty(everyHash)
		j := sampleJob("1", true)
		peer.notify(j)
		if s := peer.submit(); !meets(headerOf(j, extranonce1, s, 0), everyHash) {
			t.Errorf("share %v of the session with extranonce1 %s", s, extranonce1)
		}
		_ = peer.conn.Close()
	}
	peer, c := opened()
	login(peer, c, "first", "ab")
	peer, c = opened("first")
	login(peer, c, "second", "ab") // the same session
	peer, c = opened("second")
	login(peer, c, "third", "cdef") // another
	peer, _ = opened("third")
	_ = peer.conn.Close() // no answer: perhaps it does not like the id
	peer, c = opened()
	login(peer, c, "fourth", "ab")
	peer, c = opened("fourth")
	peer.send(`{"id":%s,"result":null,"error":[-1,"too many params",null]}`, c.id)
	c = peer.expect("mining.subscribe")
	if len(c.params) != 1 {
		t.Errorf("asked again with %v", c.params)
	}
	login(peer, c, "", "ab")
	opened() // an empty id is none
}

func TestBackupGetsNoTicketOfAnother(t *testing.T) {
	pools, _ := three(t, never)
	peer := pools[0].accept()
	peer.login("ab", 4, "")
	_ = pools[0].listener.Close()
	_ = peer.conn.Close()
	peer = pools[1].accept()
	peer.expect("mining.configure")
	if c := peer.expect("mining.subscribe"); len(c.params) != 1 {
		t.Errorf("the backup was sent %v", c.params)
	}
}

func TestSessionID(t *testing.T) {
	f := func(subscriptions, want string) {
		t.Helper()
		if got := sessionID(json.RawMessage(subscriptions)); got != want {
			t.Errorf("%s: %q, want %q", subscriptions, got, want)
		}
	}
	f(`[["mining.set_difficulty","a"],["mining.notify","b"]]`, "b")
	f(`["mining.notify","c"]`, "c")
	f(`[["mining.set_difficulty","a"]]`, "")
	f(`[["mining.notify"],["mining.notify",7],7,null]`, "")
	f(`[["mining.notify","`+strings.Repeat("x", maxTicket+1)+`"]]`, "")
	f(`{}`, "")
	f(`[]`, "")
	f(`null`, "")
}

// relay passes one connection after another on to a server and can break them.
type relay struct {
	listener net.Listener
	to       string
	all      sync.WaitGroup
	mu       sync.Mutex
	ups      []net.Conn
	downs    []net.Conn
}

func (r *relay) serve() {
	for {
		down, err := r.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = down.Close()
			continue
		}
		r.mu.Lock()
		r.ups, r.downs = append(r.ups, up), append(r.downs, down)
		r.mu.Unlock()
		for _, pair := range [][2]net.Conn{{down, up}, {up, down}} {
			r.all.Go(func() { _, _ = io.Copy(pair[0], pair[1]) })
		}
	}
}

// cut breaks the connections at the server's end, waits until it knows, and breaks
// them at the rig's.
func (r *relay) cut(knows func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.ups {
		_ = c.Close()
	}
	knows()
	for _, c := range r.downs {
		_ = c.Close()
	}
	r.ups, r.downs = nil, nil
}

// Adit's own server goes on with the session of a rig whose connection broke.
func TestResumesAtAdit(t *testing.T) {
	server := stratumtest.Start(t, stratum.Options{
		Pool: stratumtest.NewPool(pool.SchemePPLNS, true), Dialect: v1.New(),
		Limits: pool.Limits{Start: 2e-9, Min: 1e-9, Max: 2e-9}, // or shares become rare on a slow machine
	})
	p := listen(t)
	r := &relay{listener: p.listener, to: server.Addr}
	r.all.Go(r.serve)
	t.Cleanup(func() { _ = p.listener.Close(); r.cut(func() {}); r.all.Wait() })
	rig := start(t, p, func(o *Options, _ *timing) { o.User = "testa.rig" })
	for i := range 3 {
		before := rig.rig.stats.Counts().Accepted
		await(t, "accepted shares", func() bool { return rig.rig.stats.Counts().Accepted > before+2 })
		if resumed := server.Stats().Resumed; resumed != uint64(i) {
			t.Fatalf("%d sessions resumed after %d broken connections", resumed, i)
		}
		r.cut(func() {
			await(t, "the end of the connection at the server", func() bool { return server.Stats().Connections == 0 })
		})
		await(t, "a new login", func() bool { return len(rig.events.of(LoggedIn)) > i+1 })
	}
}
