package worker

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/kernels/sha256d"
)

func TestOptionsRefused(t *testing.T) {
	good := Options{Pool: "stratum+tcp://pool.example:3333", User: "alice", Kernel: sha256d.Kernel{}}
	if _, err := newRig(good); err != nil {
		t.Fatal(err)
	}
	f := func(want string, change func(*Options)) {
		t.Helper()
		o := good
		change(&o)
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	f("no kernel", func(o *Options) { o.Kernel = nil })
	f("no user", func(o *Options) { o.User = "" })
	f("-1 threads", func(o *Options) { o.Threads = -1 })
	for _, pool := range []string{"", "pool.example:3333", "http://pool.example:3333", "stratum+tcp://pool.example",
		"stratum+tcp://:3333", "stratum+tcp://pool.example:0", "stratum+tcp://pool.example:65536", "stratum+tcp://a@pool.example:1",
		"stratum+tcp://pool.example:1/path", "stratum+tcp://pool.example:1?x=1", "stratum+tcp://[::1:3333", "%"} {
		f("pool address", func(o *Options) { o.Pool = pool })
	}
}

func TestParsePool(t *testing.T) {
	f := func(pool, address string, secure bool) {
		t.Helper()
		e, err := parsePool(pool, nil)
		if err != nil || e.address() != address || (e.tls != nil) != secure {
			t.Errorf("%s: %+v, %v", pool, e, err)
		}
	}
	f("stratum+tcp://pool.example:3333", "pool.example:3333", false)
	f("stratum+tcp://[::1]:3333/", "[::1]:3333", false)
	f("stratum+ssl://pool.example:443", "pool.example:443", true)
	f("stratum+tls://10.0.0.1:443", "10.0.0.1:443", true)
}

// Three rigs with limits 4 : 2 : 1 find shares in that ratio.
func TestSharesFollowTheLimit(t *testing.T) {
	limits := []float64{80, 40, 20}
	var rigs []*running
	for _, limit := range limits {
		p := listen(t)
		rigs = append(rigs, start(t, p, func(o *Options, _ *timing) { o.Limit = NewLimit(limit) }))
		peer := p.accept()
		peer.login("ab", 4, "")
		peer.difficulty(everyHash)
		peer.notify(sampleJob("1", true))
		go func() { // answers until the rig goes
			for {
				c, err := peer.read()
				if err != nil {
					return
				}
				fmt.Fprintf(peer.conn, `{"id":%s,"result":true,"error":null}`+"\n", c.id)
			}
		}()
	}
	accepted := func(i int) float64 { return float64(rigs[i].rig.stats.Counts().Accepted) }
	before := []float64{accepted(0), accepted(1), accepted(2)}
	begin := time.Now()
	await(t, "60 shares of the slowest rig", func() bool { return accepted(2)-before[2] >= 60 })
	seconds := time.Since(begin).Seconds()
	for i, limit := range limits {
		if rate := (accepted(i) - before[i]) / seconds; rate < limit*0.2 || rate > limit*1.2 { // a busy machine may be late, never early
			t.Errorf("limit %v H/s: %.1f shares a second", limit, rate)
		}
	}
	for _, r := range rigs {
		r.stop()
	}
}

// A limit of one hash in a million seconds does not hold up the end.
func TestStopsAtOnce(t *testing.T) {
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) { o.Limit = NewLimit(1e-6); o.Threads = 3 })
	peer := p.accept()
	peer.login("ab", 4, "")
	peer.difficulty(everyHash)
	peer.notify(sampleJob("1", true))
	peer.expect("mining.submit")
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("stopping took %v", took)
	}
	peer.expectClosed()
	if lost := r.rig.stats.Counts().Lost; lost != 1 {
		t.Errorf("%d shares lost, want the one without an answer", lost)
	}
}

// A pool that comes back is found again, with a new login and new work.
func TestReconnects(t *testing.T) {
	const times = 12
	p := listen(t)
	// Were the delay to grow after useful connections, it would be minutes.
	r := start(t, p, func(_ *Options, timing *timing) { timing.backoffMost = time.Hour })
	seen := map[string]bool{}
	for i := range times {
		peer := p.accept()
		extranonce1 := fmt.Sprintf("%08x", i)
		peer.login(extranonce1, 4, "1fffe000")
		peer.difficulty(everyHash)
		j := sampleJob("1", true)
		peer.notify(j)
		for range 5 {
			header := headerOf(j, extranonce1, peer.submit(), 0x1fffe000)
			if seen[header] || !meets(header, everyHash) {
				t.Fatalf("connection %d: share with header %s", i, header)
			}
			seen[header] = true
		}
		_ = peer.conn.Close()
	}
	await(t, "the last disconnect", func() bool { return len(r.events.of(Disconnected)) >= times })
	if n := len(r.events.of(LoggedIn)); n != times {
		t.Errorf("%d logins", n)
	}
}

// The pool is away at first, then there.
func TestWaitsForThePool(t *testing.T) {
	p := listen(t)
	address := p.listener.Addr().String()
	_ = p.listener.Close()
	r := start(t, p, nil)
	await(t, "two failed attempts", func() bool { return len(r.events.of(Disconnected)) >= 2 })
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	defer l.Close()
	p.listener = l
	p.accept().login("ab", 4, "")
	await(t, "the login", func() bool { return len(r.events.of(LoggedIn)) == 1 })
}

// Why the rig gives up a connection: each case plays one and the rig must
// close it, say why, and come again.
func TestGivesUp(t *testing.T) {
	f := func(why string, change func(*timing), play func(*peer)) {
		t.Helper()
		p := listen(t)
		r := start(t, p, func(_ *Options, timing *timing) {
			if change != nil {
				change(timing)
			}
		})
		peer := p.accept()
		play(peer)
		peer.expectClosed()
		p.accept().expect("mining.configure")
		if d := r.events.of(Disconnected); len(d) != 1 || !strings.Contains(d[0].Text, why) {
			t.Errorf("disconnected %+v, want %q", d, why)
		}
		r.stop()
	}
	subscribe := func(result string) func(*peer) {
		return func(peer *peer) {
			peer.expect("mining.configure")
			peer.send(`{"id":%s,"result":%s,"error":null}`, peer.expect("mining.subscribe").id, result)
		}
	}
	f("mining.subscribe in", func(t *timing) { t.login = 50 * time.Millisecond }, func(*peer) {})
	f("mining.authorize in", func(t *timing) { t.login = 50 * time.Millisecond }, subscribe(`[[],"ab",4]`))
	f("mining.submit in", func(t *timing) { t.answer = 50 * time.Millisecond }, func(peer *peer) {
		peer.login("ab", 4, "")
		peer.difficulty(everyHash)
		peer.notify(sampleJob("1", true))
		peer.expect("mining.submit")
	})
	f("i/o timeout", func(t *timing) { t.silence = 50 * time.Millisecond }, func(peer *peer) { peer.login("ab", 4, "") })
	f("longer than", nil, func(peer *peer) {
		peer.login("ab", 4, "")
		// Exactly at the limit and no line end: the rig has read it all.
		_, _ = peer.conn.Write([]byte(strings.Repeat("x", maxLine)))
	})
	f("8 lines not understood", nil, func(peer *peer) {
		peer.login("ab", 4, "")
		for range maxBad {
			peer.send(`{"id":null,"method":"mining.set_difficulty","params":["many"]}`)
		}
	})
	f("not an array of three", nil, subscribe(`[[],"ab"]`))
	f("extranonce1", nil, subscribe(`[[],"abc",4]`))
	f("extranonce2 size", nil, subscribe(`[[],"ab",0]`))
	f("extranonce2 size", nil, subscribe(`[[],"ab",1000000000]`))
	f("[20] busy", nil, func(peer *peer) {
		peer.expect("mining.configure")
		peer.send(`{"id":%s,"error":{"code":20,"message":"busy"}}`, peer.expect("mining.subscribe").id)
	})
	refused := func(answer string) func(*peer) {
		return func(peer *peer) {
			subscribe(`[[],"ab",4]`)(peer)
			peer.send(`{"id":%s,%s}`, peer.expect("mining.authorize").id, answer)
		}
	}
	f(`"alice.rig1": [24] Unauthorized worker`, nil, refused(`"result":false,"error":[24,"Unauthorized worker",null]`))
	f(`"alice.rig1": [24] no reason given`, nil, refused(`"result":false,"error":null`))
}

// Lines that make no sense are skipped, and the work goes on.
func TestSkipsMalformedLines(t *testing.T) {
	p := listen(t)
	start(t, p, nil)
	peer := p.accept()
	peer.login("ab", 4, "")
	peer.difficulty(everyHash)
	j := sampleJob("1", true)
	peer.notify(j)
	peer.submit()
	for _, line := range []string{`{`, "\x00\xff", `{"id":777,"result":true,"error":null}`, `{"method":"mining.notify","params":[]}`,
		`{"method":"mining.set_difficulty","params":[0]}`, `{"method":"mining.set_extranonce","params":["zz",4]}`,
		`{"method":"mining.set_version_mask","params":[1]}`} {
		peer.send("%s", line)
	}
	for range 20 {
		if s := peer.submit(); !meets(headerOf(j, "ab", s, 0), everyHash) {
			t.Fatalf("share %v", s)
		}
	}
}

func TestRejectsAreCounted(t *testing.T) {
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) { o.Limit = NewLimit(200) })
	peer := p.accept()
	peer.login("ab", 4, "")
	peer.difficulty(everyHash)
	peer.notify(sampleJob("1", true))
	for _, answer := range []string{
		`"result":null,"error":[21,"Job not found",null]`,
		`"result":null,"error":[23,"Low difficulty share",null]`,
		`"error":{"code":22,"message":"Duplicate share"}`,
		`"result":false,"error":null,"reject-reason":"Stale"`,
		`"result":null,"error":null`,
		`"result":"true","error":null`,
		`"result":true,"error":null`,
	} {
		peer.send(`{"id":%s,%s}`, peer.expect("mining.submit").id, answer)
	}
	await(t, "the answers", func() bool { c := r.rig.stats.Counts(); return c.Accepted+c.Rejected == 7 })
	c := r.rig.stats.Counts()
	if c.Accepted != 1 || c.Rejected != 6 || c.Stale != 2 || len(c.Rejects) != 5 {
		t.Errorf("%+v", c)
	}
	got := ""
	for _, e := range r.events.of(Rejected) {
		got += fmt.Sprintf("%d %s; ", e.Code, e.Text)
	}
	if want := "21 Job not found; 23 Low difficulty share; 22 Duplicate share; 0 Stale; 0 no reason given; 0 no reason given; "; got != want {
		t.Errorf("rejected %s", got)
	}
}

// A pool that does not answer gets no more than maxUnanswered shares, and then
// one for each answer.
func TestUnansweredSubmitsAreBounded(t *testing.T) {
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) { o.Limit = nil })
	peer := p.accept()
	peer.login("ab", 4, "")
	peer.difficulty(everyHash)
	peer.notify(sampleJob("1", true))
	var ids []string
	for range maxUnanswered {
		ids = append(ids, peer.expect("mining.submit").id)
	}
	// The next line is the answer to a ping, not another share.
	peer.send(`{"id":1,"method":"mining.ping"}`)
	if c := peer.next(); c.result != "pong" {
		t.Fatalf("the rig sent %+v with %d shares unanswered", c, maxUnanswered)
	}
	peer.send(`{"id":%s,"result":true,"error":null}`, ids[0])
	peer.expect("mining.submit")
	// The threads wait, but not for ever: a clean job gets through to them.
	peer.notify(sampleJob("2", true))
	peer.send(`{"id":%s,"result":true,"error":null}`, ids[1])
	if s := texts(t, peer.expect("mining.submit")); s[1] != "2" {
		t.Errorf("share of job %s after the clean job", s[1])
	}
	r.stop()
	if lost := r.rig.stats.Counts().Lost; lost != maxUnanswered {
		t.Errorf("%d lost", lost)
	}
}

func TestClientReconnect(t *testing.T) {
	p, other := listen(t), listen(t)
	start(t, p, nil)
	peer := p.accept()
	peer.login("ab", 4, "")
	// Another host is ignored: the ping after it is answered.
	peer.send(`{"id":null,"method":"client.reconnect","params":["10.1.2.3",%s,0]}`, other.port())
	peer.send(`{"id":5,"method":"mining.ping"}`)
	if c := peer.next(); c.result != "pong" {
		t.Fatalf("the rig sent %+v", c)
	}
	// Another port of the same host, as a number and as a string.
	peer.send(`{"id":null,"method":"client.reconnect","params":["127.0.0.1",%s,0]}`, other.port())
	peer.expectClosed()
	peer = other.accept()
	peer.expect("mining.configure")
	peer.send(`{"id":null,"method":"client.reconnect","params":["127.0.0.1","%s","1"]}`, other.port())
	peer.expectClosed()
	peer = other.accept()
	// And back to the configured endpoint, which also follows a plain close.
	peer.send(`{"id":null,"method":"client.reconnect","params":[]}`)
	peer.expectClosed()
	p.accept().expect("mining.configure")
}

func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // lends its certificate for 127.0.0.1
	web.StartTLS()
	defer web.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &scriptedPool{t, l, "stratum+ssl://"}
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	r := start(t, p, func(o *Options, _ *timing) { o.TLS = &tls.Config{RootCAs: roots} })
	peer := p.accept()
	peer.login("ab", 4, "")
	peer.difficulty(everyHash)
	peer.notify(sampleJob("1", true))
	peer.submit()
	r.stop()

	// Without the certificate's root the rig does not talk.
	r = start(t, p, nil)
	if c, err := p.accept().read(); err == nil {
		t.Errorf("the rig sent %+v to a pool it cannot verify", c)
	}
	await(t, "the failed handshake", func() bool { return len(r.events.of(Disconnected)) > 0 })
	if why := r.events.of(Disconnected)[0].Text; !strings.Contains(why, "certificate") {
		t.Errorf("disconnected: %s", why)
	}
}

func TestBackoff(t *testing.T) {
	f := func(attempt int, random float64, want time.Duration) {
		t.Helper()
		if got := usualTiming.backoff(attempt, random); got != want {
			t.Errorf("attempt %d, random %v: %v, want %v", attempt, random, got, want)
		}
	}
	f(0, 0.5, time.Second)
	f(0, 0, time.Second/2)
	f(1, 0.5, 2*time.Second)
	f(3, 0.999, 11992*time.Millisecond)
	f(5, 0.5, 32*time.Second)
	f(6, 0.5, 60*time.Second)
	f(7, 0, 30*time.Second)
	f(7, 0.9, 60*time.Second)
	f(1_000_000, 0.5, 60*time.Second)
}
