package v1_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server over TCP with a pool that has a job.
func serve(t testing.TB, change ...func(*stratum.Options)) (*stratumtest.Running, *stratumtest.Pool) {
	t.Helper()
	p := stratumtest.NewPool(pool.SchemePPLNS, true)
	o := stratum.Options{Pool: p, Dialect: v1.New()}
	for _, f := range change {
		f(&o)
	}
	return stratumtest.Start(t, o), p
}

// TestTranscripts plays what firmware sends, see the files.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("../stratumtest/testdata/*.txt")
	if err != nil || len(files) < 13 {
		t.Fatalf("transcripts: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "# Source:") {
				t.Error("the transcript does not name its source")
			}
			p := stratumtest.NewPoolOf(stratumtest.PoolOptions{Scheme: pool.SchemePPLNS, Extranonces: 256})
			p.NextBlock()
			s := stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New()})
			stratumtest.Play(t, s, p, string(text))
		})
	}
}

func TestRequests(t *testing.T) {
	f := func(name, line, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			s, _ := serve(t)
			c := stratumtest.Dial(t, s.Addr)
			c.Ask(line, want)
			c.Open("testminer.rig") // the connection lives
		})
	}
	// ids are echoed as they came
	f("id-string", `{"id":"a\u0062","method":"mining.ping","params":[]}`, `{"id":"a\u0062","result":"pong","error":null}`)
	f("id-null", `{"id":null,"method":"mining.ping"}`, `{"id":null,"result":"pong","error":null}`)
	f("id-absent", `{"method":"mining.ping","params":null}`, `{"id":null,"result":"pong","error":null}`)
	f("id-big", `{"id":123456789012345678901234567890,"method":"mining.ping"}`, `{"id":123456789012345678901234567890,"result":"pong","error":null}`)
	f("id-object", `{"id":{},"method":"mining.ping"}`, `{"id":null,"result":null,"error":[20,"id must be a number, a string or null of at most 64 bytes",null]}`)
	f("id-long", `{"id":"`+strings.Repeat("x", 65)+`","method":"mining.ping"}`, `{"id":null,"result":null,"error":[20,"<text>",null]}`)
	f("id-bool", `{"id":true,"method":"mining.ping"}`, `{"id":null,"result":null,"error":[20,"<text>",null]}`)
	f("members-reordered", `{"params":[],"jsonrpc":"2.0","method":"mining.ping","id":5}`, `{"id":5,"result":"pong","error":null}`)
	f("escaped-method", `{"id":5,"method":"mining\u002eping"}`, `{"id":5,"result":"pong","error":null}`)
	f("crlf", "\r\n  \n{\"id\":5,\"method\":\"mining.ping\"}\r", `{"id":5,"result":"pong","error":null}`)

	f("unknown", `{"id":5,"method":"agent.get_capabilities","params":[]}`, `{"id":5,"result":null,"error":[20,"Unsupported method",null]}`)
	f("case", `{"id":5,"method":"Mining.Ping","params":[]}`, `{"id":5,"result":null,"error":[20,"Unsupported method",null]}`)
	f("transactions", `{"id":5,"method":"mining.get_transactions","params":["00000001"]}`, `{"id":5,"result":null,"error":[20,"Not supported.",null]}`)
	f("extranonce", `{"id":5,"method":"mining.extranonce.subscribe","params":[]}`, `{"id":5,"result":true,"error":null}`)
	f("multi-version", `{"id":5,"method":"mining.multi_version","params":[4]}`, `{"id":5,"result":true,"error":null}`)
	f("params-object", `{"id":5,"method":"mining.ping","params":{}}`, `{"id":5,"result":null,"error":[20,"params must be an array",null]}`)
	f("method-number", `{"id":5,"method":5}`, `{"id":5,"result":null,"error":[20,"method must be a string",null]}`)
	f("no-method", `{"id":5}`, `{"id":5,"result":null,"error":[20,"Not a request: no method",null]}`)

	// JSON that is not, or that is read differently elsewhere (catalogue P5)
	f("not-json", `GET / HTTP/1.1`, `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	f("trailing", `{"id":5,"method":"mining.ping"} x`, `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	f("two-values", `{"id":5,"method":"mining.ping"}{}`, `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	f("bom", "\xef\xbb\xbf{}", `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	f("nul", "{\"id\":5,\"method\":\"mining.ping\x00\"}", `{"id":null,"result":null,"error":[20,"Parse error: not JSON",null]}`)
	f("not-utf8", "{\"id\":5,\"method\":\"mining.ping\xff\"}", `{"id":null,"result":null,"error":[20,"Parse error: not UTF-8",null]}`)
	f("deep", `{"id":5,"method":"mining.ping","params":[[[[[]]]]]}`, `{"id":null,"result":null,"error":[20,"Parse error: nested too deeply",null]}`)
	f("depth-bomb", strings.Repeat("[", 2000), `{"id":null,"result":null,"error":[20,"Parse error: nested too deeply",null]}`)
	f("duplicate", `{"id":5,"method":"mining.ping","id":6}`, `{"id":null,"result":null,"error":[20,"Parse error: a key stands twice",null]}`)
	f("duplicate-escaped", `{"id":5,"method":"mining.ping","\u0069d":6}`, `{"id":null,"result":null,"error":[20,"Parse error: a key stands twice",null]}`)
	f("many", `{"id":5,"method":"x","params":[`+strings.Repeat("1,", 200)+`1]}`, `{"id":null,"result":null,"error":[20,"Parse error: too many values",null]}`)
	f("scalar", `5`, `{"id":null,"result":null,"error":[20,"Not a request",null]}`)

	// mining.configure: only the keys asked for
	f("configure", `{"id":1,"method":"mining.configure","params":[["minimum-difficulty","version-rolling"],{"minimum-difficulty.value":2048,"version-rolling.mask":"00fff000","version-rolling.min-bit-count":2}]}`,
		`{"id":1,"result":{"minimum-difficulty":true,"version-rolling":true,"version-rolling.mask":"00ffe000"},"error":null}`)
	f("configure-others", `{"id":1,"method":"mining.configure","params":[["info","subscribe-extranonce","x-\"new","info"],{"info.hw-id":"1"}]}`,
		`{"id":1,"result":{"info":true,"subscribe-extranonce":true,"x-\"new":false},"error":null}`)
	f("configure-no-options", `{"id":1,"method":"mining.configure","params":[["version-rolling"]]}`,
		`{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}`)
	f("configure-no-params", `{"id":1,"method":"mining.configure","params":[]}`, `{"id":1,"result":{},"error":null}`)
	f("configure-bad-count", `{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1FFFE000","version-rolling.min-bit-count":"\u0000"}]}`,
		`{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}`)
	f("configure-bad-mask", `{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"0x1fffe000"}]}`,
		`{"id":1,"result":{"version-rolling":"version-rolling.mask must be 8 hex digits"},"error":null}`)
	f("configure-empty-mask", `{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fff"}]}`,
		`{"id":1,"result":{"version-rolling":false},"error":null}`)
	f("configure-minimum-bad", `{"id":1,"method":"mining.configure","params":[["minimum-difficulty"],{"minimum-difficulty.value":-1}]}`,
		`{"id":1,"result":{"minimum-difficulty":false},"error":null}`)
	f("configure-minimum-zero", `{"id":1,"method":"mining.configure","params":[["minimum-difficulty"],{"minimum-difficulty.value":0}]}`,
		`{"id":1,"result":{"minimum-difficulty":true},"error":null}`)
	f("configure-wrong", `{"id":1,"method":"mining.configure","params":["version-rolling"]}`, `{"id":1,"result":null,"error":[20,"<text>",null]}`)

	// difficulties (catalogue D6)
	for _, bad := range []string{`0`, `-1`, `"NaN"`, `"Inf"`, `1e400`, `"0x10"`, `"1_0"`, `""`, `null`, `[]`, `true`, `"` + strings.Repeat("9", 70) + `"`} {
		f("suggest-"+bad, `{"id":5,"method":"mining.suggest_difficulty","params":[`+bad+`]}`,
			`{"id":5,"result":false,"error":[20,"A difficulty is a number above zero",null]}`)
	}
	f("suggest-none", `{"id":5,"method":"mining.suggest_difficulty"}`, `{"id":5,"result":false,"error":[20,"<text>",null]}`)
	f("suggest-tiny", `{"id":5,"method":"mining.suggest_difficulty","params":[1e-300]}`, `{"id":5,"result":true,"error":null}`)
	f("target-bad", `{"id":5,"method":"mining.suggest_target","params":["00"]}`, `{"id":5,"result":false,"error":[20,"<text>",null]}`)

	// authorize says why not, and the connection lives
	f("authorize-bad", `{"id":5,"method":"mining.authorize","params":["1Boat\"<b>","x"]}`,
		`{"id":5,"result":false,"error":[24,"an address of this network begins with \"test\"",null]}`)
	f("authorize-number", `{"id":5,"method":"mining.authorize","params":[5]}`, `{"id":5,"result":false,"error":[24,"<text>",null]}`)
	f("authorize-long", `{"id":5,"method":"mining.authorize","params":["test`+strings.Repeat("x", 300)+`"]}`,
		`{"id":5,"result":false,"error":[24,"user name longer than 256 bytes",null]}`)
}

// Lines that are answers themselves get none.
func TestAnswersOfMiners(t *testing.T) {
	s, _ := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Send(`{"id":7,"result":"bosminer/1.0","error":null}`)
	c.Send(`{"id":7,"method":"pong"}`)
	c.Send(`{"id":7,"method":"mining.pong","params":[]}`)
	c.Send(`{"id":7,"error":[1]}`)
	c.Send(``)
	c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
}

func TestBatchIsRefused(t *testing.T) {
	s, _ := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Ask(`[{"id":1,"method":"mining.ping"}]`, `{"id":null,"result":null,"error":[20,"Batches are not supported",null]}`)
	c.Closed()
}

// The first job comes after subscribe and authorize in whatever order, its difficulty before it, and
// nothing before the replies.
func TestOpeningOrders(t *testing.T) {
	const sub = `{"id":1,"method":"mining.subscribe","params":["t/1"]}`
	const auth = `{"id":2,"method":"mining.authorize","params":["testa","x"]}`
	const subbed = `{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<hex32>"]],"<hex8>",8],"error":null}`
	const authed = `{"id":2,"result":true,"error":null}`
	s, _ := serve(t)

	c := stratumtest.Dial(t, s.Addr)
	c.Ask(sub, subbed)
	c.Ask(auth, authed)
	c.Expect(stratumtest.SetDifficulty)
	first := c.Expect(stratumtest.Notify)
	if first["clean"] != "true" {
		t.Error("the first job is not clean")
	}

	c = stratumtest.Dial(t, s.Addr)
	c.Ask(auth, authed)
	c.Ask(sub, subbed)
	c.Expect(stratumtest.SetDifficulty)
	c.Expect(stratumtest.Notify)

	// Subscribing again gives the same extranonce1, difficulty and a clean job: the miner starts afresh.
	before := c.Rig.Extranonce1
	c.Ask(sub, subbed)
	c.Expect(stratumtest.SetDifficulty)
	if again := c.Expect(stratumtest.Notify); again["clean"] != "true" {
		t.Error("the job after a second subscribe is not clean")
	}
	if c.Rig.Extranonce1 != before {
		t.Errorf("extranonce1 went from %s to %s", before, c.Rig.Extranonce1)
	}

	c = stratumtest.Dial(t, s.Addr) // all in one packet
	c.Send(sub + "\n" + auth)
	c.Expect(subbed)
	c.Expect(authed)
	c.Expect(stratumtest.SetDifficulty)
	c.Expect(stratumtest.Notify)
	if c.Rig.Extranonce1 == before {
		t.Error("two connections have one extranonce1")
	}
}

func TestJobs(t *testing.T) {
	p := stratumtest.NewPool(pool.SchemePPLNS, false)
	s := stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New()})
	c := stratumtest.Dial(t, s.Addr)
	c.Ask(`{"id":1,"method":"mining.subscribe","params":["t/1"]}`, `{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<hex32>"]],"<hex8>",8],"error":null}`)
	c.Ask(`{"id":2,"method":"mining.authorize","params":["testa"]}`, `{"id":2,"result":true,"error":null}`)
	c.User = "testa"
	p.NextBlock() // there was no job until now
	c.Expect(stratumtest.SetDifficulty)
	c.Expect(stratumtest.Notify)
	old := c.Rig.Job

	p.Refresh()
	if c.Expect(stratumtest.Notify)["clean"] != "false" {
		t.Error("a job of the same tip is clean")
	}
	accept(t, c, c.Find(&old))
	p.NextBlock()
	if c.Expect(stratumtest.Notify)["clean"] != "true" {
		t.Error("a job of a new tip is not clean")
	}
	reject(t, c, c.Find(&old), pool.RejectStale)
	accept(t, c, c.Find(&c.Rig.Job))
}

// A SOLO pool has a coinbase for each payee.
func TestSolo(t *testing.T) {
	p := stratumtest.NewPool(pool.SchemeSOLO, true)
	s := stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New()})
	a, b := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	a.Open("testa")
	b.Open("testb")
	if a.Rig.Job.Coinb2 == b.Rig.Job.Coinb2 {
		t.Error("two payees have one coinbase")
	}
	accept(t, a, a.Find(&a.Rig.Job))
	accept(t, b, b.Find(&b.Rig.Job))
}
