package stratum

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	chains "github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A pool's node client takes the mock for regtest: genesis, tip, templates with
// the right ids and commitment.
func TestNodeIsBelieved(t *testing.T) {
	n, err := NewNode(37)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(n)
	defer server.Close()
	chain, err := chains.Find("bitcoin", "regtest")
	if err != nil {
		t.Fatal(err)
	}
	c, err := node.Dial(node.Options{Name: "mock", URL: server.URL, User: "u", Password: "p", Chain: chain, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.CheckChain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for height := int64(1); height < 4; height++ {
		tip, err := c.Tip(t.Context())
		if err != nil || tip.Height != height {
			t.Fatalf("%+v, %v", tip, err)
		}
		template, err := c.Template(t.Context(), "")
		if err != nil || len(template.Txs) != 37 || template.PrevHash != tip.Hash || template.Height != height+1 || template.WitnessCommitment == nil {
			t.Fatalf("%v", err)
		}
		// A long poll ends with the next tip.
		polled := make(chan error, 1)
		go func() {
			next, err := c.Template(context.WithoutCancel(t.Context()), template.LongpollID)
			if err == nil && next.Height != template.Height+1 {
				err = fmt.Errorf("height %d after %d", next.Height, template.Height)
			}
			polled <- err
		}()
		if err := moveOn(t.Context(), server.URL); err != nil {
			t.Fatal(err)
		}
		if err := <-polled; err != nil {
			t.Fatal(err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// agreeable is a pool that accepts all but each refuse-th share, and sends a clean
// job when its tip moves.
type agreeable struct {
	refuse int
	listen net.Listener
	wait   sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	seen  map[string]bool // shares
	again int             // of them sent twice
}

const cleanJob = `{"id":null,"method":"mining.notify","params":["1","00","","",[],"20000000","1903a30c","65f0a1b2",true]}` + "\n"

func newAgreeable(t *testing.T, refuse int) *agreeable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &agreeable{refuse: refuse, listen: l, seen: map[string]bool{}}
	p.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, c)
			p.mu.Unlock()
			p.wait.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.wait.Wait() })
	return p
}

func (p *agreeable) serve(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	for n := 0; lines.Scan(); {
		var call struct {
			ID     int
			Method string
			Params []string
		}
		if json.Unmarshal(lines.Bytes(), &call) != nil {
			return
		}
		answer := fmt.Sprintf(`{"id":%d,"result":true,"error":null}`+"\n", call.ID)
		switch call.Method {
		case "mining.subscribe":
			answer = fmt.Sprintf(`{"id":%d,"result":[[],"ab",8],"error":null}`+"\n", call.ID)
		case "mining.authorize":
			answer += cleanJob
		case "mining.submit":
			p.mu.Lock()
			share := fmt.Sprint(c.RemoteAddr(), call.Params[1:])
			if p.seen[share] {
				p.again++
			}
			p.seen[share] = true
			p.mu.Unlock()
			if n++; n%p.refuse == 0 {
				answer = fmt.Sprintf(`{"id":%d,"result":null,"error":[23,"Low difficulty share",null]}`+"\n", call.ID)
			}
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// ServeHTTP is its node's.
func (p *agreeable) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_, _ = c.Write([]byte(cleanJob))
	}
	w.WriteHeader(http.StatusNoContent)
}

func TestModes(t *testing.T) {
	f := func(mode string, check func(Result) bool) {
		t.Helper()
		a, b := newAgreeable(t, 4), newAgreeable(t, 1<<30)
		node := httptest.NewServer(a)
		defer node.Close()
		other := httptest.NewServer(b)
		defer other.Close()
		o := Options{
			Mode: mode, Pairs: 1, Connections: 20, InFlight: 8, Accounts: []string{"x.1", "x.2"}, Tips: 1,
			For: 500 * time.Millisecond, Every: 20 * time.Millisecond, Progress: func(string, ...any) {},
			Servers: []Server{
				{Address: a.listen.Addr().String(), PIDs: []int{os.Getpid()}, Node: node.URL},
				{Address: b.listen.Addr().String(), Node: other.URL},
			},
		}
		results, err := Run(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		for i, r := range results {
			if len(r) != 1 || r[0].Connections != 20 || r[0].Failed != 0 || r[0].Unanswered != 0 || r[0].Anchor == 0 || !check(r[0]) {
				t.Errorf("%s of server %d: %+v", mode, i, r)
			}
		}
		first, second := results[0][0], results[1][0]
		if first.Rejected*3 > first.Accepted || second.Rejected != 0 || mode == "shares" && first.Rejected == 0 {
			t.Errorf("%s: %+v, %+v", mode, first, second)
		}
		if a.again+b.again != 0 {
			t.Errorf("%s: %d shares were sent twice", mode, a.again+b.again)
		}
		var table bytes.Buffer
		if err := WriteTable(&table, o.Servers, results); err != nil || !strings.Contains(table.String(), "better by") {
			t.Errorf("%v\n%s", err, table.String())
		}
		http.DefaultClient.CloseIdleConnections()
	}
	f("connections", func(r Result) bool { return r.FirstJob50 > 0 && r.FirstJob99 >= r.FirstJob50 })
	f("shares", func(r Result) bool { return r.Accepted > 0 && r.PerSecond > 0 })
	f("soak", func(r Result) bool { return r.Accepted > 0 && r.Answer99 > 0 })
	f("notify", func(r Result) bool { return r.TipFirst > 0 && r.TipLast >= r.TipFirst })
}

func TestRefuses(t *testing.T) {
	good := Options{Mode: "shares", Servers: []Server{{Address: "127.0.0.1:1"}}, Pairs: 1, Connections: 1, InFlight: 1, Accounts: []string{"x"}, Tips: 1}
	f := func(change func(*Options), want string) {
		t.Helper()
		o := good
		change(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(func(*Options) {}, "connection refused")
	f(func(o *Options) { o.Mode = "x" }, "no mode")
	f(func(o *Options) { o.Servers = nil }, "give one server")
	f(func(o *Options) { o.InFlight = 0 }, "at least one")
	if _, err := usage([]int{-1}); err == nil {
		t.Error("a process that is not there was read")
	}
}
