package dashboard

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

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

// toyChain takes addresses that begin with "toy1"; upper and lower case are one.
type toyChain struct{}

func (toyChain) Script(address string) ([]byte, error) {
	if !strings.HasPrefix(strings.ToLower(address), "toy1") {
		return nil, fmt.Errorf("address refused: it does not begin with toy1: %q", address)
	}
	return toyScript(address), nil
}

func toyScript(address string) []byte {
	h := sha256.Sum256([]byte(strings.ToLower(address)))
	return h[:20]
}

var toyMiners = []string{"toy1alice", "toy1bob", "toy1carol", "toy1dave", "toy1erin"}

// toyAssets compresses the assets once for all tests.
var toyAssets = sync.OnceValues(loadAssets)

// toyNow is when the tests' clock starts.
var toyNow = time.Date(2026, 3, 4, 12, 30, 15, 0, time.UTC)

// site is a running server with a clock of its own.
type site struct {
	t      *testing.T
	server *Server
	store  *fakeStore
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

func toyInfo(id string, store Store) PoolInfo {
	return PoolInfo{ID: id, Coin: "toycoin", Network: "toynet", Symbol: "TOY", Decimals: 8, Scheme: "pplns", PPLNSN: "2", FeePPM: 10_000,
		Threshold: 100_000_000, RewardAddress: "toy1reward", Stratum: []string{"stratum+tcp://127.0.0.1:3333"}, Maturity: 100, Chain: toyChain{}, Store: store}
}

// newSite serves a pool "toy" from a store of 60 blocks; edit may change the options.
func newSite(t *testing.T, edit func(*Options)) *site {
	t.Helper()
	s := &site{t: t, now: toyNow, store: fakePool("toy", toyNow, 60, 21*time.Minute, toyMiners, toyScript)}
	o := Options{Pools: []PoolInfo{toyInfo("toy", s.store)}, Version: "0.0.1", NoDoc: errFakeNoDoc, Log: zerolog.Nop(), Now: s.clock}
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
	s.stop = sync.OnceValue(func() error {
		s.client.CloseIdleConnections()
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
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
	c.SetDeadline(time.Now().Add(10 * time.Second))
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
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.store.docs["blocks"][i].id
}

func (s *site) payoutID(i int) string {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return s.store.docs["payouts"][i].id
}

// paths are one of each kind of answer.
func (s *site) paths() map[string]int {
	return map[string]int{
		"/": 200, "/toy": 200, "/toy/blocks": 200, "/toy/blocks/" + s.blockHash(7): 200, "/toy/payments": 200,
		"/user/toy1alice": 200, "/user/TOY1ALICE": 200, "/user/toy1stranger": 200, "/user?address=toy1bob": 303, "/user": 303,
		"/api/v1/pools": 200, "/api/v1/pools/toy": 200, "/api/v1/pools/toy/blocks": 200, "/api/v1/pools/toy/payouts": 200,
		"/api/v1/pools/toy/blocks/" + s.blockHash(7): 200, "/api/v1/pools/toy/payouts/" + s.payoutID(1): 200,
		"/api/v1/pools/toy/miners/toy1alice": 200, "/livez": 200, "/readyz": 200, "/metrics": 200,
		s.server.assets.path("site.css"): 200, "/favicon.ico": 303,

		"/nothing": 404, "/toy/nothing": 404, "/toy/blocks/00": 404, "/toy/blocks/" + strings.Repeat("0", 64): 404, "/user/bad": 404,
		"/user/toy1a/b": 404, "/api": 404, "/api/v2/pools": 404, "/api/v1/pools/none": 404, "/api/v1/pools/none/blocks": 404,
		"/api/v1/pools/toy/miners": 404, "/api/v1/pools/toy/miners/bad": 404, "/api/v1/pools/toy/blocks/zz": 404,
		"/api/v1/pools/toy/payouts/none": 404, "/api/v1/pools/toy/payouts/" + strings.Repeat("a", 300): 404, "/assets/x/site.css": 404,
		"/assets/" + s.server.assets.version + "/uPlot.LICENSE": 404, "/assets/../../etc/passwd": 404, "/livez/x": 404,
		"/api/v1/pools/toy/blocks?limit=0": 400, "/api/v1/pools/toy/blocks?limit=101": 400, "/api/v1/pools/toy/blocks?offset=-1": 400,
		"/api/v1/pools/toy/payouts?limit=1e9": 400, "/api/v1/pools/toy/payouts?offset=99999999999999999999": 400, "/toy/blocks?limit=x": 400, "/toy/payments?offset=%00": 400,
	}
}
