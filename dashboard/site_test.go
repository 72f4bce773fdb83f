package dashboard

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The clock of the Date header, for the life of the process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Compressors of the process, one a core, that wait for work.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.funcWorker"),
		// Cleaners of the server and of the tests' client: they look every ten seconds whether they are to end.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// toyAssets compresses the assets once for all tests.
var toyAssets = sync.OnceValues(loadAssets)

// site is a running server with a clock of its own.
type site struct {
	t      *testing.T
	server *Server
	store  *boardtest.Store
	client *fasthttp.HostClient
	dial   func() (net.Conn, error)
	stop   func() error // ends the server and gives Serve's answer
	mu     sync.Mutex
	now    time.Time // guarded by mu
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) wait(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// newSite serves a pool "toy" from a store of 60 blocks; edit may change the options.
func newSite(t *testing.T, edit func(*Options)) *site {
	t.Helper()
	s := &site{t: t, now: boardtest.Start(), store: boardtest.Pool(60)}
	o := Options{Pools: []view.PoolInfo{boardtest.Info("toy", s.store)}, Version: "0.0.1", NoDoc: boardtest.ErrNoDoc, BadCursor: boardtest.ErrCursor, PerMinute: -1, Tick: time.Hour, Log: zerolog.Nop(), Now: s.clock}
	if edit != nil {
		edit(&o)
	}
	a, err := toyAssets()
	if err != nil {
		t.Fatal(err)
	}
	if s.server, err = newServer(o, a); err != nil {
		t.Fatal(err)
	}
	ln := fasthttputil.NewInmemoryListener()
	s.dial = ln.Dial
	s.client = &fasthttp.HostClient{Addr: "toy", Dial: func(string) (net.Conn, error) { return ln.Dial() }, MaxConns: 1000}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(ctx, ln) }()
	await(t, "the first tick", func() bool { return s.server.events.Ticks() > 0 })
	s.stop = sync.OnceValue(func() error {
		s.client.CloseIdleConnections()
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			return errors.New("the server did not end")
		}
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// answer is what the server said.
type answer struct {
	status int
	header *fasthttp.ResponseHeader
	body   string
}

func (a answer) get(name string) string { return string(a.header.Peek(name)) }

func (a answer) all(name string) (out []string) {
	for _, v := range a.header.PeekAll(name) {
		out = append(out, string(v))
	}
	return out
}

// get asks for a path; more are header names and values.
func (s *site) get(path string, more ...string) answer {
	s.t.Helper()
	return s.ask("GET", path, more...)
}

func (s *site) ask(method, path string, more ...string) answer {
	s.t.Helper()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://toy" + path)
	req.Header.SetMethod(method)
	for i := 0; i < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	if err := s.client.DoTimeout(req, resp, 10*time.Second); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	h := new(fasthttp.ResponseHeader)
	resp.Header.CopyTo(h)
	return answer{resp.StatusCode(), h, string(resp.Body())}
}

// raw sends bytes on a connection of its own and reads one answer.
func (s *site) raw(request string) answer {
	s.t.Helper()
	c, err := s.dial()
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	go c.Write([]byte(request)) // the server may close before it has all
	var resp fasthttp.Response
	if err := resp.Read(bufio.NewReader(c)); err != nil {
		s.t.Fatalf("%.80q: %v", request, err)
	}
	h := new(fasthttp.ResponseHeader)
	resp.Header.CopyTo(h)
	return answer{resp.StatusCode(), h, string(resp.Body())}
}

func (s *site) blockHash(i int) string {
	return s.store.ID("blocks", i)
}

func (s *site) payoutID(i int) string {
	return s.store.ID("payouts", i)
}

// paths are one of each kind of answer.
func (s *site) paths() map[string]int {
	return map[string]int{
		"/": 200, "/toy": 200, "/toy/blocks": 200, "/toy/blocks/" + s.blockHash(7): 200, "/toy/payments": 200, "/toy/leaders": 200,
		"/user/toy1alice": 200, "/user/TOY1ALICE": 200, "/user/toy1stranger": 200, "/user?address=toy1bob": 303, "/user": 303,
		"/user/toy1alice/w/garage": 200, "/user/toy1alice/w/~": 200, "/start": 200, "/status": 200, "/api": 200,
		"/user/toy1bob/credit/toy/" + s.blockHash(9): 200,
		"/rejects": 200, "/rejects/stale": 200, "/users/toy1bob": 303, "/stats/toy1bob": 303, "/app/toy1bob": 303, "/language?set=de&to=/toy": 303,
		"/livez": 200, "/readyz": 200, "/metrics": 200, s.server.assets.path("site.css"): 200, "/favicon.ico": 303,

		"/api/v1/pools": 200, "/api/v1/pools/toy": 200, "/api/v1/pools/toy/blocks": 200, "/api/v1/pools/toy/payouts": 200,
		"/api/v1/pools/toy/blocks?limit=3": 200, "/api/v1/pools/toy/blocks?limit=3&cursor=" + s.blockHash(3): 200, "/api/v1/pools/toy/payouts?limit=2": 200,
		"/api/v1/pools/toy/blocks/" + s.blockHash(7): 200, "/api/v1/pools/toy/blocks/" + s.blockHash(0): 200, "/api/v1/pools/toy/payouts/" + s.payoutID(1): 200,
		"/api/v1/pools/toy/miners/toy1alice": 200, "/api/v1/pools/toy/miners/toy1stranger": 200, "/api/v1/pools/toy/history": 200, "/api/v1/pools/toy/history?step=1h": 200,
		"/api/v1/pools/toy/luck": 200, "/api/v1/pools/toy/heads": 200, "/api/v1/pools/toy/leaders": 200, "/api/v1/pools/toy/miners/toy1bob/history?step=1d": 200,
		"/api/v1/pools/toy/miners/toy1bob/workers": 200, "/api/v1/pools/toy/miners/toy1bob/workers?limit=1": 200, "/api/v1/pools/toy/miners/toy1bob/workers?cursor=%3Dgarage": 200,
		"/api/v1/pools/toy/miners/toy1bob/workers/garage": 200, "/api/v1/pools/toy/miners/toy1bob/workers/~": 200, "/api/v1/pools/toy/miners/toy1bob/workers/rig1/history": 200,
		"/api/v1/pools/toy/miners/toy1bob/credits": 200, "/api/v1/pools/toy/miners/toy1bob/credits?limit=3&cursor=" + s.blockHash(9): 200, "/api/v1/pools/toy/miners/toy1stranger/credits": 200,
		"/api/v1/pools/toy/miners/toy1bob/payouts": 200, "/api/v1/pools/toy/miners/toy1bob/days": 200, "/api/v1/pools/toy/miners/toy1stranger/days": 200,
		"/api/v1/rejects": 200, "/api/v1/status": 200, "/api/v1/openapi.json": 200,

		"/user/toy1bob/credit/toy/zz": 404, "/user/toy1bob/credit/none/" + s.blockHash(9): 404, "/user/bad/credit/toy/" + s.blockHash(9): 404, "/user/toy1stranger/credit/toy/" + s.blockHash(9): 404,
		"/api/v1/pools/toy/miners/toy1bob/credits?cursor=x": 400, "/api/v1/pools/toy/miners/toy1bob/payouts?limit=0": 400, "/api/v1/pools/toy/miners/toy1bob/days?format=pdf": 400, "/api/v1/pools/toy/miners/bad/days": 404,
		"/nothing": 404, "/toy/nothing": 404, "/toy/blocks/00": 404, "/toy/blocks/" + strings.Repeat("0", 64): 404, "/user/bad": 404,
		"/user/toy1a/b": 404, "/user/toy1alice/w/none": 404, "/user/bad/w/x": 404, "/rejects/none": 404, "/rejects/stale/x": 404, "/start/x": 404,
		"/api/v2/pools": 404, "/api/v1": 404, "/api/v1/pools/none": 404, "/api/v1/pools/none/blocks": 404,
		"/api/v1/pools/toy/miners": 404, "/api/v1/pools/toy/miners/bad": 404, "/api/v1/pools/toy/miners/bad/workers": 404, "/api/v1/pools/toy/blocks/zz": 404,
		"/api/v1/pools/toy/miners/toy1bob/workers/none": 404, "/api/v1/pools/toy/miners/toy1bob/x": 404, "/api/v1/pools/toy/history/x": 404, "/api/v1/pools/toy/a/b/c/d/e/f/g": 404,
		"/api/v1/pools/toy/payouts/none": 404, "/api/v1/pools/toy/payouts/" + strings.Repeat("a", 300): 404, "/assets/x/site.css": 404, "/api/v1/events?miner=bad": 404,
		"/assets/" + s.server.assets.version + "/uPlot.LICENSE": 404, "/assets/../../etc/passwd": 404, "/livez/x": 404,
		"/api/v1/pools/toy/blocks?limit=0": 400, "/api/v1/pools/toy/blocks?limit=101": 400, "/api/v1/pools/toy/blocks?offset=1": 400, "/api/v1/pools?x": 400,
		"/api/v1/pools/toy/payouts?limit=1e9": 400, "/api/v1/pools/toy/payouts?cursor=none": 400, "/api/v1/pools/toy/blocks?cursor=" + strings.Repeat("a", 200): 400,
		"/api/v1/pools/toy/history?step=2m": 400, "/api/v1/pools/toy/history?format=xml": 400, "/api/v1/pools/toy/miners/toy1bob/workers?cursor=x": 400,
		"/toy/blocks?limit=x": 400, "/toy/payments?cursor=%00": 400, "/language?set=xx": 400, "/api/v1/events?x=1": 400,
	}
}
