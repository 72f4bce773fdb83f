package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
)

func checkSecure(t *testing.T, what string, a answer) {
	t.Helper()
	for name, want := range map[string]string{"Content-Security-Policy": contentSecurity, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if got := a.get(name); got != want {
			t.Errorf("%s: %s is %q", what, name, got)
		}
	}
	if got := a.get("Server"); got != "" {
		t.Errorf("%s: names the server %q", what, got)
	}
}

func TestPaths(t *testing.T) {
	s := newSite(t, nil)
	for path, status := range s.paths() {
		a := s.get(path)
		if a.status != status {
			t.Errorf("%s: %d, want %d: %.200s", path, a.status, status, a.body)
		}
		checkSecure(t, path, a)
		api := strings.HasPrefix(path, "/api")
		switch kind := a.get("Content-Type"); {
		case api && status == 200 && kind != typeJSON, api && status >= 400 && kind != typeProblem,
			!api && status == 404 && !strings.HasPrefix(path, "/livez") && kind != typeHTML:
			t.Errorf("%s: content type %q", path, kind)
		}
		if api && !json.Valid([]byte(a.body)) {
			t.Errorf("%s: no JSON: %.100s", path, a.body)
		}
		if strings.Contains(a.body, "ZgotmplZ") || strings.Contains(a.body, "<no value>") {
			t.Errorf("%s: the template refused a value", path)
		}
		head := s.ask("HEAD", path)
		if head.status != status || head.body != "" {
			t.Errorf("HEAD %s: %d with %d bytes", path, head.status, len(head.body))
		}
		checkSecure(t, "HEAD "+path, head)
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"} {
			if a := s.ask(method, path); a.status != 405 || a.get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, path, a.status)
			} else {
				checkSecure(t, method+path, a)
			}
		}
	}
}

func TestProblem(t *testing.T) {
	s := newSite(t, nil)
	a := s.get("/api/v1/pools/toy/miners/bc1qother")
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Status != 404 || p.Title != "Not Found" || p.Type != "about:blank" ||
		!strings.Contains(p.Detail, "does not begin with toy1") {
		t.Errorf("%v %+v", err, p)
	}
	if a := s.get("/user/bc1qother"); !strings.Contains(a.body, "does not begin with toy1") {
		t.Error("the page does not give the chain's own words")
	}
}

func TestNotHTTP(t *testing.T) {
	s := newSite(t, nil)
	f := func(what, request string, status int) {
		t.Helper()
		a := s.raw(request)
		if a.status != status || a.get("Content-Type") != typeProblem {
			t.Errorf("%s: %d %s, want %d", what, a.status, a.body, status)
		}
		checkSecure(t, what, a)
	}
	f("large header", "GET / HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("a", 2*maxHeader)+"\r\n\r\n", 431)
	f("large query", "GET /?"+strings.Repeat("a", 2*maxHeader)+" HTTP/1.1\r\nHost: x\r\n\r\n", 431)
	f("large body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", 413)
	f("garbage", "\x16\x03\x01 hello\r\n\r\n", 400)
	f("bad length", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400)
}

var (
	// inline matches code or style inside a page whose quoted values were taken out.
	inline = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|<[a-z][^>]*\s(style|on[a-z]+)\s*=`)
	// outward matches links that leave the site or run code.
	outward = regexp.MustCompile(`(?i)(src|href|action)="(javascript|data|https?|//)[^"]*"`)
	quoted  = regexp.MustCompile(`"[^"]*"`)
)

// unsafe finds what no page may hold. In pages a quote mark stands only around a value: in text it is escaped.
func unsafe(page string) string {
	if m := outward.FindString(page); m != "" {
		return m
	}
	return inline.FindString(quoted.ReplaceAllString(page, `""`))
}

func TestUnsafeIsFound(t *testing.T) {
	for _, bad := range []string{`<script>alert(1)</script>`, `<p style="x">`, `<img src="x" onerror=alert(1)>`, `<a href="javascript:x">`, `<style>`, `<a href="//evil">`} {
		if unsafe(bad) == "" {
			t.Errorf("%s is not found", bad)
		}
	}
	if m := unsafe(`<script src="/a.js" defer></script><p title="onerror=x style=y">javascript:</p>`); m != "" {
		t.Errorf("%s is found", m)
	}
}

func TestHostileText(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Version = `<b>"'` })
	hostile := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'-alert(1)-'`, `</td></table><svg onload=alert(1)>`, `javascript:alert(1)`,
		`{{.}}`, `</script><script>alert(2)</script>`, "\u202ereversed", "a\x00b", `=HYPERLINK("http://evil")`, `<!--`, `<a href=//evil>`, "&lt;b&gt;",
	}
	account := s.store.accounts[accountOfToy("toy1alice")]
	s.store.change(func() {
		w := account.view.Workers[0]
		account.view.Workers = nil
		for _, h := range hostile {
			w.Name, w.Agent, w.Rejected = h, h, map[string]uint64{h: 3}
			account.view.Workers = append(account.view.Workers, w)
		}
		account.view.Address = hostile[0]
		s.store.accounts[accountOfToy("toy1alice")] = account
		for i, h := range hostile[:2] {
			s.store.view.Nodes[i].Name, s.store.view.Nodes[i].Error, s.store.view.Nodes[i].Up = h, h, false
		}
		s.store.view.JournalError = hostile[2]
		s.store.view.Rejected[hostile[1]] = 1
	})
	paths := []string{"/", "/toy", "/user/toy1alice", "/toy/blocks", "/toy/payments", "/readyz"}
	for _, h := range hostile {
		e := escape(h)
		paths = append(paths, "/user/"+e, "/user/toy1"+e, "/"+e, "/toy/blocks/"+e, "/toy/blocks?limit="+e, "/api/v1/pools/"+e, "/api/v1/pools/toy/miners/"+e,
			"/api/v1/pools/toy/payouts/"+e, "/user?address="+e, "/?"+e, "/assets/"+e)
	}
	for _, path := range paths {
		a := s.get(path)
		checkSecure(t, path, a)
		if m := unsafe(a.body); m != "" && a.get("Content-Type") == typeHTML {
			t.Errorf("%s: %q", path, m)
		}
		if strings.ContainsAny(a.get("Location"), "\r\n") || strings.HasPrefix(a.get("Location"), "//") {
			t.Errorf("%s: redirected to %q", path, a.get("Location"))
		}
		for _, h := range hostile {
			if strings.HasPrefix(h, "<") && strings.Contains(a.body, h) && h != "<!--" {
				t.Errorf("%s: holds %q as it is", path, h)
			}
		}
	}
	page := s.get("/user/toy1alice").body
	for _, want := range []string{"&lt;script&gt;alert(1)&lt;/script&gt;", "&#34;&gt;&lt;img src=x onerror=alert(1)&gt;", "{{.}}"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q as text", want)
		}
	}
}

func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func TestOpenRedirect(t *testing.T) {
	s := newSite(t, nil)
	for _, address := range []string{"//evil.example", "/\\evil.example", "http://evil.example", "..//evil.example", "a%0d%0aSet-Cookie:x=1", "%2f%2fevil.example"} {
		a := s.get("/user?address=" + address)
		to := a.get("Location")
		if a.status != 303 || !strings.HasPrefix(to, "/user/") || strings.ContainsAny(to[len("/user/"):], "/\\\r\n") || a.get("Set-Cookie") != "" {
			t.Errorf("%s: %d to %q", address, a.status, to)
		}
	}
}

func TestDrain(t *testing.T) {
	s := newSite(t, nil)
	s.get("/livez")
	gate := make(chan struct{})
	s.store.change(func() { s.store.gate = gate })
	s.wait(time.Minute)
	idle, err := s.dial() // sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if a := s.get("/api/v1/pools/toy/miners/toy1bob"); a.status != 200 {
			t.Errorf("a request in flight got %d: %s", a.status, a.body)
		}
	})
	await(t, "the request in flight", func() bool { return len(s.server.pools[0].calls) > 0 })
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	close(gate)
	wg.Wait()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func TestServeEndsBeforeItBegan(t *testing.T) {
	server, err := New(Options{Pools: []PoolInfo{toyInfo("toy", &fakeStore{})}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Serve(ctx, fasthttputil.NewInmemoryListener()); err != nil {
		t.Fatal(err)
	}
	ln := fasthttputil.NewInmemoryListener()
	ln.Close()
	if err := server.Serve(context.Background(), ln); err == nil {
		t.Fatal("a closed listener is served")
	}
}

func TestConnectionCap(t *testing.T) {
	inner := fasthttputil.NewInmemoryListener()
	l := &trackedListener{Listener: inner, max: 2}
	accepted := make(chan net.Conn, 3)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := inner.Dial()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := dial(), dial()
	first := <-accepted
	second := <-accepted
	c := dial()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the third connection is open: %v", err)
	}
	first.Close()
	first.Close() // twice does not count twice
	d := dial()
	third := <-accepted
	inner.Close()
	<-ended
	second.Close()
	third.Close()
	l.wait()
	for _, c := range []net.Conn{a, b, c, d} {
		c.Close()
	}
}

func TestOptions(t *testing.T) {
	f := func(want string, pools ...PoolInfo) {
		t.Helper()
		if _, err := New(Options{Pools: pools}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	store := &fakeStore{}
	f("no pool")
	for id := range siteParts {
		f("cannot be part", toyInfo(id, store))
	}
	f("cannot be part", toyInfo("", store))
	f("cannot be part", toyInfo("A", store))
	f("cannot be part", toyInfo(strings.Repeat("a", 33), store))
	f("twice", toyInfo("a", store), toyInfo("a", store))
	f("no chain or no store", PoolInfo{ID: "a"})
	bad := toyInfo("a", store)
	bad.Decimals = 19
	f("decimals", bad)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"/", "/user/toy1alice", "/api/v1/pools/toy/blocks?limit=5&offset=55", "/user?address=%2f%2f", "/toy/blocks/%00", "/assets/../x", "//", "?"} {
		f.Add(seed, "gzip;q=0, br", `W/"x", *`)
	}
	store := fakePool("toy", toyNow, 8, time.Minute, toyMiners, toyScript)
	server, err := New(Options{Pools: []PoolInfo{toyInfo("toy", store)}, NoDoc: errFakeNoDoc, Log: zerolog.Nop(), Now: func() time.Time { return toyNow }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uri, accept, match string) {
		var c fasthttp.RequestCtx
		c.Request.SetRequestURI(uri)
		c.Request.Header.Set("Accept-Encoding", accept)
		c.Request.Header.Set("If-None-Match", match)
		var loads sync.WaitGroup
		defer loads.Wait()
		server.handle(request{RequestCtx: &c, base: context.Background(), loads: &loads})
		switch status := c.Response.StatusCode(); status {
		case 200, 303, 304, 400, 404:
		default:
			t.Errorf("%q: %d %s", uri, status, c.Response.Body())
		}
		if string(c.Response.Header.Peek("Content-Security-Policy")) != contentSecurity {
			t.Errorf("%q: no policy", uri)
		}
		if to := string(c.Response.Header.Peek("Location")); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
			t.Errorf("%q: redirected to %q", uri, to)
		}
	})
}
