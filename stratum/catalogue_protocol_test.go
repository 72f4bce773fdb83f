package stratum_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// Others of P: TestEndlessLine (P1), TestDeadlines, TestTLSDeadline and TestEviction (P2), TestSlowReader and
// TestUnreadReplies (P3), TestPipelinedFlood (P4), TestProxySpoof (P10), TestBanSparesTheFarm (P11).

// lives shows that the connection still answers.
func lives(c *stratumtest.Client) {
	c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
}

func TestP4SustainedMalformed(t *testing.T) {
	s, _ := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	io.WriteString(c, strings.Repeat("{\n", 10_000))
	if n := len(c.Closed()); n > 16 {
		t.Errorf("%d lines were answered", n)
	}
	closed(t, s.Server, stratum.CloseMalformed)
}

func TestP5JSON(t *testing.T) {
	s, _ := serve(t)
	for _, line := range []string{
		strings.Repeat(`{"a":`, 700) + "1", strings.Repeat("[", 4000), `{"id":5,"id":6,"method":"mining.ping"}`, "\xef\xbb\xbf{}",
		"{\"id\":5,\"method\":\"a\x00b\"}", "{\"id\":5,\"method\":\"\xc0\xaf\"}", `{"id":5}}`, `{"id":05,"method":"mining.ping"}`, `{'id':5}`,
		`{"id":5,"method":"mining.ping",}`, `{"id":NaN,"method":"mining.ping"}`, `"mining.ping"`, `{"id":5,"METHOD":"mining.ping"}`,
	} {
		c := stratumtest.Dial(t, s.Addr)
		c.Send(line)
		got := c.Line()
		if !strings.Contains(got, `"result":null,"error":[20,"`) {
			t.Errorf("%.60q got %s", line, got)
		}
		lives(c)
	}
	c := stratumtest.Dial(t, s.Addr) // numbers as long as they like are echoed, not understood
	c.Ask(`{"id":123456789012345678901234567890,"method":"mining.ping"}`+"\r", `{"id":123456789012345678901234567890,"result":"pong","error":null}`)
}

func TestP6BatchAndIDs(t *testing.T) {
	s, _ := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	for _, id := range []string{`{}`, `[1]`, `true`, `"` + strings.Repeat("x", 70) + `"`} {
		c.Ask(`{"id":`+id+`,"method":"mining.ping"}`, `{"id":null,"result":null,"error":[20,"id must be a number, a string or null of at most 64 bytes",null]}`)
	}
	for _, id := range []string{`0`, `-5`, `"a\u0000"`, `null`, `1.5`} {
		c.Ask(`{"id":`+id+`,"method":"mining.ping"}`, `{"id":`+id+`,"result":"pong","error":null}`)
	}
	c.Ask(`[{"id":1,"method":"mining.ping"},{"id":2,"method":"mining.ping"}]`, `{"id":null,"result":null,"error":[20,"Batches are not supported",null]}`)
	c.Closed()
}

// addressed takes the addresses of a real chain.
type addressed struct {
	*stratumtest.Pool
	chain pool.Chain
}

func (p addressed) Authorize(user, _ string) (pool.Worker, error) {
	address, name := pool.SplitUser(user)
	script, err := p.chain.Script(address)
	if err != nil {
		return pool.Worker{}, err
	}
	return pool.Worker{User: user, Account: pool.AccountOf("main", script), Script: script, Name: name}, nil
}

func serveAddresses(t *testing.T) (*stratumtest.Running, *stratumtest.Pool) {
	t.Helper()
	chain, err := bitcoin.New("mainnet")
	if err != nil {
		t.Fatal(err)
	}
	p := stratumtest.NewPool(pool.SchemePPLNS, true)
	return stratumtest.Start(t, stratum.Options{Pool: addressed{p, chain}, Dialect: v1.New(), Rate: 1e5}), p
}

const (
	bech32  = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
	legacy  = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
	testnet = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
)

// Addresses are read here, by no node: ten thousand bad logins are as many answers, within the rate, and
// then the connection is ended.
func TestP7BadLoginsAskNobody(t *testing.T) {
	s, _ := serveAddresses(t)
	c := stratumtest.Dial(t, s.Addr)
	lives(c)
	go io.WriteString(c, strings.Repeat(`{"id":5,"method":"mining.authorize","params":["`+bech32[:41]+`5","x"]}`+"\n", 10_000))
	if n := len(c.Closed()); n != 512 {
		t.Errorf("%d answers, want 512", n)
	}
	closed(t, s.Server, stratum.CloseRefused)
}

func TestP8WorkerNames(t *testing.T) {
	s, p := serve(t, func(o *stratum.Options) { o.MaxUsers = 300 })
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa." + strings.Repeat("n", 200))
	accepted(c, c.Find(&c.Rig.Job))
	if got := lastShare(t, p).Worker; len(got) != 63 {
		t.Errorf("name of %d bytes", len(got))
	}
	for i := 1; i < 300; i++ {
		c.Ask(fmt.Sprintf(`{"id":2,"method":"mining.authorize","params":["testa.%d"]}`, i), authorized)
	}
	c.Ask(`{"id":2,"method":"mining.authorize","params":["testa.300"]}`, `{"id":2,"result":false,"error":[24,"too many users on one connection",null]}`)
	c.Ask(`{"id":2,"method":"mining.authorize","params":["test`+strings.Repeat("a", 300)+`"]}`, `{"id":2,"result":false,"error":[24,"user name longer than 256 bytes",null]}`)
	lives(c)
}

// A connection takes one extranonce1 however often it subscribes, and one that asks for nothing takes none.
func TestP9SubscribeLoop(t *testing.T) {
	s, _ := serve(t, func(o *stratum.Options) { o.Rate = 1e5 })
	c := stratumtest.Dial(t, s.Addr)
	first := subscribe(c, "")
	en1 := c.Rig.Extranonce1
	for range 500 {
		if subscribe(c, "") != first || c.Rig.Extranonce1 != en1 {
			t.Fatal("a second subscribe gave something else")
		}
	}
	for range 20 {
		lives(stratumtest.Dial(t, s.Addr))
	}
	next := stratumtest.Dial(t, s.Addr)
	subscribe(next, "")
	if en1 != "00000001" || next.Rig.Extranonce1 != "00000002" {
		t.Errorf("extranonce1 %s, then %s", en1, next.Rig.Extranonce1)
	}
}

func TestP12LogInjection(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Ask(`{"id":1,"method":"mining.subscribe","params":["x\r\nlevel=error \u001b[2J\u202e"]}`,
		`{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<hex32>"]],"<hex8>",8],"error":null}`)
	c.Ask(`{"id":2,"method":"mining.authorize","params":["testa.x\r\n\u001b[2J","x"]}`, authorized)
	firstJob(c)
	line := fmt.Sprintf(`{"id":5,"method":"mining.submit","params":["testa.x\r\n\u001b[2J",%q,`, c.Rig.Job.ID)
	sh := c.Find(&c.Rig.Job)
	c.Ask(line+fmt.Sprintf(`%q,%q,%q]}`, sh.Extranonce2, sh.NTime, sh.Nonce), yes)
	if got := lastShare(t, p).Worker; got != "x----2J" {
		t.Errorf("name %q", got)
	}
	ended(t, s, c)
	if got := p.Ended().Agent; got != "x--level=error -[2J---" {
		t.Errorf("agent %q", got)
	}
}

// What a miner calls its rig reaches pages, spreadsheets and keys in a form that means nothing there (I1,
// I2, I3); its login is not refused for it.
func workerName(t *testing.T, name, want string) {
	t.Helper()
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa." + name)
	accepted(c, c.Find(&c.Rig.Job))
	if got := lastShare(t, p).Worker; got != want {
		t.Errorf("%q is stored as %q, want %q", name, got, want)
	}
}

func TestI1ScriptInWorkerName(t *testing.T) {
	workerName(t, `<script>alert(1)</script>`, "-script-alert-1---script-")
	workerName(t, `"onload='x'&amp;`, "-onload--x--amp-")
}

// Exports put a quote before what is left of such a beginning; here it has lost '=', '+', '@' and TAB.
func TestI2FormulaInWorkerName(t *testing.T) {
	workerName(t, `=HYPERLINK(1)`, "-HYPERLINK-1-")
	workerName(t, `+1+cmd|' /C calc'!A0`, "-1-cmd----C-calc--A0")
	workerName(t, `@SUM(1)`, "-SUM-1-")
}

func TestI3KeysInWorkerName(t *testing.T) {
	workerName(t, `a:b{c}*?[d]`, "a-b-c----d-")
	workerName(t, `a b;KEYS`, "a-b-KEYS")
}

// Spellings of an address are one account; what is no address of this chain is refused, and says so.
func TestI4AddressAliasing(t *testing.T) {
	s, p := serveAddresses(t)
	var accounts []pool.AccountID
	for _, user := range []string{bech32, strings.ToUpper(bech32), bech32 + ".rig", legacy} {
		c := stratumtest.Dial(t, s.Addr)
		c.Open(user)
		accepted(c, c.Find(&c.Rig.Job))
		accounts = append(accounts, lastShare(t, p).Account)
	}
	if accounts[0] != accounts[1] || accounts[0] != accounts[2] || accounts[0] == accounts[3] {
		t.Errorf("accounts %v", accounts)
	}
	for _, user := range []string{bech32 + " ", " " + bech32, strings.ToUpper(bech32[:20]) + bech32[20:], legacy + "\\n", strings.ToLower(legacy)} {
		refusedLogin(t, s, user)
	}
}

func TestI5WrongAddress(t *testing.T) {
	s, _ := serveAddresses(t)
	for _, user := range []string{testnet, "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", legacy[:33] + "b", bech32[:41] + "5", "", ".rig", "alice", "0x52908400098527886E0F7030069857D2E4169EE7"} {
		refusedLogin(t, s, user)
	}
}

func refusedLogin(t *testing.T, s *stratumtest.Running, user string) {
	t.Helper()
	c := stratumtest.Dial(t, s.Addr)
	subscribe(c, "")
	c.Send(`{"id":2,"method":"mining.authorize","params":["` + user + `","x"]}`)
	if got := c.Line(); !strings.HasPrefix(got, `{"id":2,"result":false,"error":[24,"`) {
		t.Errorf("%q: %s", user, got)
	}
	lives(c)
}

// A peer that is there and says nothing more is told apart from one that mines: see TestDeadlines. Half
// open ones end by the write of a job.
func TestP3HalfOpen(t *testing.T) {
	clocked(t, stratumtest.Limits(), func(t *testing.T, s *stratumtest.Running, p *stratumtest.Pool, dial func() *stratumtest.Client) {
		half, good := dial(), dial()
		half.Open("testa")
		good.Open("testb")
		p.Refresh() // nobody reads it
		good.Expect(stratumtest.Notify)
		from := time.Now()
		for s.Stats().Closed["slow-reader"] == 0 {
			time.Sleep(time.Second)
		}
		if d := time.Since(from); d > 11*time.Second {
			t.Errorf("held for %v", d)
		}
	})
}
