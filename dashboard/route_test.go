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

	"github.com/adit-pool/adit/dashboard/boardtest"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
)

func checkSecure(t *testing.T, what string, a answer) {
	t.Helper()
	for name, want := range map[string]string{"Content-Security-Policy": web.ContentSecurity, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
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
		api := strings.HasPrefix(path, "/api/")
		switch kind := a.get("Content-Type"); {
		case api && status == 200 && kind != web.TypeJSON, api && status >= 400 && kind != web.TypeProblem,
			!api && status == 404 && !strings.HasPrefix(path, "/livez") && kind != web.TypeHTML:
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
	var p web.Problem
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
		if a.status != status || a.get("Content-Type") != web.TypeProblem {
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
	account := s.store.Accounts[accountOfToy("toy1alice")]
	s.store.Change(func() {
		w := account.View.Workers[0]
		account.View.Workers = nil
		for _, h := range hostile {
			w.Name, w.Agent, w.Rejected = h, h, map[string]uint64{h: 3}
			account.View.Workers = append(account.View.Workers, w)
		}
		account.View.Address = hostile[0]
		s.store.Accounts[accountOfToy("toy1alice")] = account
		for i, h := range hostile[:2] {
			s.store.Pool.Nodes[i].Name, s.store.Pool.Nodes[i].Error, s.store.Pool.Nodes[i].Up = h, h, false
		}
		s.store.Pool.JournalError = hostile[2]
		s.store.Pool.Rejected[hostile[1]] = 1
	})
	paths := []string{"/", "/toy", "/user/toy1alice", "/toy/blocks", "/toy/payments", "/toy/leaders", "/status", "/readyz", "/api/v1/pools/toy/miners/toy1alice", "/api/v1/pools/toy/miners/toy1alice/workers?format=csv"}
	for _, h := range hostile {
		e := escape(h)
		paths = append(paths, "/user/"+e, "/user/toy1"+e, "/"+e, "/toy/blocks/"+e, "/toy/blocks?limit="+e, "/api/v1/pools/"+e, "/api/v1/pools/toy/miners/"+e,
			"/api/v1/pools/toy/payouts/"+e, "/user?address="+e, "/?"+e, "/assets/"+e, "/user/toy1alice/w/"+e, "/rejects/"+e, "/language?set=de&to="+e, "/users/"+e, "/stats/"+e, "/app/"+e, "/api/v1/pools/toy/miners/toy1alice/workers/"+e,
			"/toy/blocks?cursor="+e, "/api/v1/pools/toy/history?step="+e)
	}
	for _, path := range paths {
		a := s.get(path)
		checkSecure(t, path, a)
		if m := unsafe(a.body); m != "" && a.get("Content-Type") == web.TypeHTML {
			t.Errorf("%s: %q", path, m)
		}
		if strings.ContainsAny(a.get("Location"), "\r\n") || strings.HasPrefix(a.get("Location"), "//") {
			t.Errorf("%s: redirected to %q", path, a.get("Location"))
		}
		for _, h := range hostile {
			if strings.HasPrefix(h, "<") && strings.Contains(a.body, h) && h != "<!--" && a.get("Content-Type") != web.TypeCSV {
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
	s.store.Change(func() { s.store.Gate = gate })
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
	await(t, "the request in flight", func() bool { return s.server.board.Pools[0].Calls() > 0 })
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	close(gate)
	wg.Wait()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func TestServeEndsBeforeItBegan(t *testing.T) {
	f := func() *Server {
		server, err := New(Options{Pools: []view.PoolInfo{boardtest.Info("toy", &boardtest.Store{})}, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f().Serve(ctx, fasthttputil.NewInmemoryListener()); err != nil {
		t.Fatal(err)
	}
	ln := fasthttputil.NewInmemoryListener()
	ln.Close()
	if err := f().Serve(context.Background(), ln); err == nil {
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
	c.SetReadDeadline(time.Now().Add(time.Minute))
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
	f := func(want string, pools ...view.PoolInfo) {
		t.Helper()
		if _, err := New(Options{Pools: pools}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	store := &boardtest.Store{}
	f("no pool")
	for id := range view.SiteParts {
		f("cannot be part", boardtest.Info(id, store))
	}
	f("cannot be part", boardtest.Info("", store))
	f("cannot be part", boardtest.Info("A", store))
	f("cannot be part", boardtest.Info(strings.Repeat("a", 33), store))
	f("twice", boardtest.Info("a", store), boardtest.Info("a", store))
	f("no chain or no store", view.PoolInfo{ID: "a"})
	bad := boardtest.Info("a", store)
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

func TestRedirects(t *testing.T) {
	s := newSite(t, nil)
	for path, want := range map[string]string{
		"/users/toy1bob": "/user/toy1bob", "/stats/toy1bob": "/user/toy1bob", "/app/toy1bob": "/user/toy1bob", "/user?address=+toy1bob+": "/user/toy1bob",
		"/language?set=de&to=/toy": "/toy", "/language?set=de&to=//evil.example": "/", "/language?set=de&to=https://evil.example": "/", "/language?set=de&to=/%5cevil.example": "/",
		"/language?set=de": "/", "/language?set=de&to=/a%0d%0ab": "/",
	} {
		if a := s.get(path); a.status != 303 || a.get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", path, a.status, a.get("Location"), want)
		}
	}
}

func TestLanguages(t *testing.T) {
	s := newSite(t, nil)
	for header, want := range map[string]string{"": "en", "de-AT, en;q=0.5": "de", "fr, zh-CN;q=0.8": "zh", "en;q=0.1, ru": "ru", "xx": "en", "de;q=x": "en"} {
		if a := s.get("/", "Accept-Language", header); a.get("Content-Language") != want || !strings.Contains(a.body, `<html lang="`+want+`"`) {
			t.Errorf("%q gives %s", header, a.get("Content-Language"))
		}
	}
	if a := s.get("/", "Accept-Language", "de", "Cookie", "lang=es"); a.get("Content-Language") != "es" || !strings.Contains(a.body, "Trabajadores") {
		t.Errorf("the cookie gives %s", a.get("Content-Language"))
	}
	if a := s.get("/language?set=ru&to=/"); !strings.HasPrefix(a.get("Set-Cookie"), "lang=ru;") {
		t.Errorf("cookie %q", a.get("Set-Cookie"))
	}
}

func TestLimit(t *testing.T) {
	s := newSite(t, func(o *Options) { o.PerMinute = 5 })
	for i := range 5 {
		if a := s.get("/api/v1/pools"); a.status != 200 || a.get("RateLimit") != fmt.Sprintf(`"requests";r=%d;t=45`, 4-i) || a.get("RateLimit-Policy") != `"requests";q=5;w=60` {
			t.Fatalf("request %d: %d, %s", i, a.status, a.get("RateLimit"))
		}
	}
	if a := s.get("/"); a.status != 429 || a.get("Retry-After") != "45" || a.get("Content-Type") != web.TypeProblem {
		t.Errorf("the sixth: %d, %s", a.status, a.get("Retry-After"))
	}
	if a := s.get("/readyz"); a.status != 200 {
		t.Errorf("health is limited: %d", a.status)
	}
	s.wait(45 * time.Second)
	if a := s.get("/"); a.status != 200 {
		t.Errorf("a minute later: %d", a.status)
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"/", "/user/toy1alice", "/api/v1/pools/toy/blocks?limit=5&cursor=55", "/api/v1/pools/toy/miners/toy1bob/workers/a/history", "/language?set=de&to=//x", "/user?address=%2f%2f", "/toy/blocks/%00", "/assets/../x", "//", "?"} {
		f.Add(seed, "gzip;q=0, br", `W/"x", *`)
	}
	store := boardtest.Pool(8)
	server, err := New(Options{Pools: []view.PoolInfo{boardtest.Info("toy", store)}, NoDoc: boardtest.ErrNoDoc, BadCursor: boardtest.ErrCursor, PerMinute: -1, Log: zerolog.Nop(), Now: func() time.Time { return boardtest.Start() }})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(server.board.Close)
	f.Fuzz(func(t *testing.T, uri, accept, match string) {
		var c fasthttp.RequestCtx
		c.Request.SetRequestURI(uri)
		c.Request.Header.Set("Accept-Encoding", accept)
		c.Request.Header.Set("If-None-Match", match)
		server.handle(web.Request{RequestCtx: &c})
		switch status := c.Response.StatusCode(); status {
		case 200, 303, 304, 400, 404, 429:
		default:
			t.Errorf("%q: %d %s", uri, status, c.Response.Body())
		}
		if string(c.Response.Header.Peek("Content-Security-Policy")) != web.ContentSecurity {
			t.Errorf("%q: no policy", uri)
		}
		if to := string(c.Response.Header.Peek("Location")); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
			t.Errorf("%q: redirected to %q", uri, to)
		}
	})
}
