package stratum_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
	"github.com/adit-pool/adit/stratum/v1"
)

// The catalogue tests, S1 to S14, D1 to D9, P1 to P13 and I1 to I5, send what has hurt pools to a real
// server. docs/stratum.md has the list.

const (
	yes       = `{"id":5,"result":true,"error":null}`
	badEn2    = `{"id":5,"result":null,"error":[20,"extranonce2 must be 16 hex digits",null]}`
	badNonce  = `{"id":5,"result":null,"error":[20,"nonce must be 1 to 8 hex digits",null]}`
	badNTime  = `{"id":5,"result":null,"error":[20,"ntime must be 8 hex digits",null]}`
	twice     = `{"id":5,"result":null,"error":[22,"Duplicate share",null]}`
	noJob     = `{"id":5,"result":null,"error":[21,"Job not found",null]}`
	lowDiff   = `{"id":5,"result":null,"error":[23,"Low difficulty share",null]}`
	outOfMask = `{"id":5,"result":null,"error":[20,"Version bits outside the mask <hex8>",null]}`
)

// submit sends a mining.submit with the given texts and expects the answer.
func submit(t *testing.T, c *stratumtest.Client, want string, params ...string) {
	t.Helper()
	line := `{"id":5,"method":"mining.submit","params":["` + strings.Join(params, `","`) + `"]}`
	c.Send(line)
	if got := c.Line(); !matches(want, got) {
		t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
	}
}

// ready is a connection that has work, on a server of its own.
func ready(t *testing.T) (*stratumtest.Client, *stratumtest.Pool) {
	t.Helper()
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	return c, p
}

func TestS1HexCase(t *testing.T) {
	c, p := ready(t)
	var sh stratumtest.Share
	for !strings.ContainsAny(sh.Nonce, "abcdef") {
		sh = c.Find(&c.Rig.Job)
	}
	submit(t, c, yes, "testa", sh.Job, strings.ToUpper(sh.Extranonce2), sh.NTime, strings.ToUpper(sh.Nonce))
	submit(t, c, twice, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	submit(t, c, twice, "testa", sh.Job, sh.Extranonce2, strings.ToUpper(sh.NTime), sh.Nonce)
	if len(p.Shares()) != 1 {
		t.Errorf("%d shares", len(p.Shares()))
	}
}

func TestS2LenientTail(t *testing.T) {
	c, p := ready(t)
	sh := c.Find(&c.Rig.Job)
	submit(t, c, badEn2, "testa", sh.Job, sh.Extranonce2[:14]+"zz", sh.NTime, sh.Nonce)
	submit(t, c, badEn2, "testa", sh.Job, sh.Extranonce2+"zz", sh.NTime, sh.Nonce)
	submit(t, c, badNonce, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce[:7]+"g")
	if len(p.Shares()) != 0 {
		t.Error("a share was made of it")
	}
}

func TestS3NonceForms(t *testing.T) {
	c, _ := ready(t)
	sh := c.Find(&c.Rig.Job)
	for _, bad := range []string{"", "0x1c", "+0000001", " 0000001", "0000001 ", "0000_001", "-1", "000000001", "1e3.", `\u0030x`} {
		submit(t, c, badNonce, "testa", sh.Job, sh.Extranonce2, sh.NTime, bad)
	}
	submit(t, c, yes, "testa", sh.Job, sh.Extranonce2, sh.NTime, strings.TrimLeft(sh.Nonce[:7], "0")+sh.Nonce[7:]) // NerdMiner
	submit(t, c, twice, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
}

func TestS4Extranonce2Size(t *testing.T) {
	c, _ := ready(t)
	sh := c.Find(&c.Rig.Job)
	for _, bad := range []string{"", sh.Extranonce2[:14], sh.Extranonce2 + "00", strings.Repeat("00", 100)} {
		submit(t, c, badEn2, "testa", sh.Job, bad, sh.NTime, sh.Nonce)
	}
	submit(t, c, yes, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
}

func TestS5NTime(t *testing.T) {
	const outside = `{"id":5,"result":null,"error":[20,"ntime out of range",null]}`
	c, _ := ready(t)
	sh := c.Find(&c.Rig.Job)
	for _, bad := range []string{"", "1", sh.NTime[:7], "0" + sh.NTime, "0x" + sh.NTime[:6], " " + sh.NTime[:7]} {
		submit(t, c, badNTime, "testa", sh.Job, sh.Extranonce2, bad, sh.Nonce)
	}
	var at uint32
	fmt.Sscanf(sh.NTime, "%x", &at)
	for _, bad := range []uint32{0, at - 3601, at + 700, 1<<32 - 1} {
		submit(t, c, outside, "testa", sh.Job, sh.Extranonce2, fmt.Sprintf("%08x", bad), sh.Nonce)
	}
	rolled := c.Rig.Job // within it, rolling is work like any other
	rolled.NTime = fmt.Sprintf("%08x", at+500)
	sh = c.Find(&rolled)
	submit(t, c, yes, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
}

func TestS6VersionBits(t *testing.T) {
	c, _ := ready(t)
	find := func(bits uint32) stratumtest.Share {
		sh, err := c.Rig.Job.Find(c.Rig.Extranonce1, fmt.Sprintf("%016x", bits), bits, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		return sh
	}
	f := func(bits uint32, want string) {
		t.Helper()
		sh := find(bits)
		submit(t, c, want, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce, sh.VersionBits)
	}
	f(0x1fffe000, yes) // not negotiated: inside the listener's mask
	f(0x20000000, outOfMask)
	f(0x00001000, outOfMask)
	f(0xffffffff, outOfMask)
	sh := onlyFor(t, c, 0x2000, &c.Rig.Job, c.Rig.Extranonce1) // and then not sent: another header
	submit(t, c, lowDiff, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	for _, bad := range []string{"", "0x2000", "000002000", "x"} {
		submit(t, c, `{"id":5,"result":null,"error":[20,"version bits must be 1 to 8 hex digits",null]}`, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce, bad)
	}
	submit(t, c, yes, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce, "2000")
}

// onlyFor finds a share of c's job whose nonce is none for another job, extranonce1 and version bits.
func onlyFor(t *testing.T, c *stratumtest.Client, bits uint32, other *stratumtest.Job, extranonce1 string) stratumtest.Share {
	t.Helper()
	for n := range 1000 {
		en2 := fmt.Sprintf("%016x", 0x1000+n)
		sh, err := c.Rig.Job.Find(c.Rig.Extranonce1, en2, bits, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		var nonce uint32
		fmt.Sscanf(sh.Nonce, "%x", &nonce)
		if there, err := other.Find(extranonce1, en2, 0, nonce, nil); err == nil && there.Nonce != sh.Nonce {
			return sh
		}
	}
	t.Fatal("no such share")
	return stratumtest.Share{}
}

// pair finds two shares with one extranonce2, ntime and nonce, that differ in their version bits.
func pair(t *testing.T, c *stratumtest.Client, one, two uint32) (a, b stratumtest.Share) {
	t.Helper()
	for n := range 1000 {
		en2 := fmt.Sprintf("%016x", n)
		a, err := c.Rig.Job.Find(c.Rig.Extranonce1, en2, one, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.Rig.Job.Find(c.Rig.Extranonce1, en2, two, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Nonce == b.Nonce {
			return a, b
		}
	}
	t.Fatal("no pair")
	return a, b
}

func TestS7SameNonceOtherVersion(t *testing.T) {
	c, p := ready(t)
	a, b := pair(t, c, 0x2000, 0x4000)
	submit(t, c, yes, "testa", a.Job, a.Extranonce2, a.NTime, a.Nonce, a.VersionBits)
	submit(t, c, yes, "testa", b.Job, b.Extranonce2, b.NTime, b.Nonce, b.VersionBits)
	submit(t, c, twice, "testa", b.Job, b.Extranonce2, b.NTime, b.Nonce, b.VersionBits)
	if len(p.Shares()) != 2 {
		t.Errorf("%d shares", len(p.Shares()))
	}
}

func TestS8AmbiguousConcatenation(t *testing.T) {
	c, _ := ready(t)
	a, b := pair(t, c, 0x2000, 0x20000)
	if !strings.HasPrefix(a.Nonce, "00") {
		t.Fatalf("nonce %s is too large for this test", a.Nonce)
	}
	submit(t, c, yes, "testa", a.Job, a.Extranonce2, a.NTime, a.Nonce[1:], "2000")
	submit(t, c, yes, "testa", b.Job, b.Extranonce2, b.NTime, b.Nonce[2:], "20000")
}

// S9 is TestResume too: a session that is taken up again has its duplicates.
func TestS9ReplayOnAnotherConnection(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	sh := c.Find(&c.Rig.Job)
	accepted(c, sh)
	second := stratumtest.Dial(t, s.Addr)
	second.Open("testa")
	submit(t, second, noJob, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	ended(t, s, c)
	again := stratumtest.Dial(t, s.Addr)
	again.Open("testa")
	submit(t, again, noJob, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	// Under the name of one's own job it is another header.
	c.Rig.Job.Difficulty = again.Rig.Job.Difficulty
	sh = onlyFor(t, c, 0, &again.Rig.Job, again.Rig.Extranonce1)
	submit(t, again, lowDiff, "testa", again.Rig.Job.ID, sh.Extranonce2, sh.NTime, sh.Nonce)
	if len(p.Shares()) != 1 {
		t.Errorf("%d shares", len(p.Shares()))
	}
}

// Two edges, or one before and after a restart, have epochs of their own: even with the same extranonce1 a
// share of one is none of the other.
func TestS10OtherEdge(t *testing.T) {
	edge := func(epoch uint64) *stratumtest.Client {
		p := stratumtest.NewPoolOf(stratumtest.PoolOptions{Scheme: pool.SchemePPLNS, Epoch: epoch})
		p.NextBlock()
		c := stratumtest.Dial(t, stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New()}).Addr)
		c.Open("testa")
		return c
	}
	one, two := edge(1), edge(2)
	if one.Rig.Extranonce1 != two.Rig.Extranonce1 || one.Rig.Job.Coinb1 == two.Rig.Job.Coinb1 {
		t.Fatalf("extranonce1 %s and %s; coinb1 %s and %s", one.Rig.Extranonce1, two.Rig.Extranonce1, one.Rig.Job.Coinb1, two.Rig.Job.Coinb1)
	}
	sh := onlyFor(t, one, 0, &two.Rig.Job, two.Rig.Extranonce1)
	submit(t, one, yes, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	submit(t, two, noJob, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	submit(t, two, lowDiff, "testa", two.Rig.Job.ID, sh.Extranonce2, sh.NTime, sh.Nonce)
}

// Mark and record are one: the answer waits for the journal, and what could not be kept is not acknowledged.
func TestS11AnswerAfterTheRecord(t *testing.T) {
	c, p := ready(t)
	p.Hold()
	sh := c.Find(&c.Rig.Job)
	line, id := c.SubmitLine(sh)
	c.Send(line)
	c.Send(line)
	await(t, func() bool { return p.Held() == 1 && p.Rejects()[pool.RejectDuplicate] == 1 }, func() string { return "shares not judged" })
	p.Release(-1, fmt.Errorf("disk full"))
	c.Expect(fmt.Sprintf(`{"id":%d,"result":null,"error":[20,"Share not recorded, please keep mining",null]}`, id))
	c.Expect(fmt.Sprintf(`{"id":%d,"result":null,"error":[22,"Duplicate share",null]}`, id))
}

func TestS12Jobs(t *testing.T) {
	c, p := ready(t)
	sh := c.Find(&c.Rig.Job)
	for _, bad := range []string{"", "0", sh.Job + "0", "0" + sh.Job, strings.ToUpper("abcdef01"), "00000000", "job", sh.Job[:7]} {
		submit(t, c, noJob, "testa", bad, sh.Extranonce2, sh.NTime, sh.Nonce)
	}
	c.Ask(fmt.Sprintf(`{"id":5,"method":"mining.submit","params":["testa",1,%q,%q,%q]}`, sh.Extranonce2, sh.NTime, sh.Nonce),
		`{"id":5,"result":null,"error":[20,"mining.submit wants strings",null]}`)
	p.NextBlock()
	c.Expect(stratumtest.Notify)
	submit(t, c, `{"id":5,"result":null,"error":[21,"Stale share: the chain has a new tip",null]}`, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	p.NextBlock()
	c.Expect(stratumtest.Notify)
	submit(t, c, noJob, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
}

// A share of the tip before is stale, but when it is a block it goes to the nodes, once.
func TestS12LateBlock(t *testing.T) {
	p := stratumtest.NewPoolOf(stratumtest.PoolOptions{Scheme: pool.SchemePPLNS, Bits: 0x207fffff})
	p.NextBlock()
	c := stratumtest.Dial(t, stratumtest.Start(t, stratum.Options{Pool: p, Dialect: v1.New()}).Addr)
	c.Open("testa")
	sh := c.Find(&c.Rig.Job)
	p.NextBlock()
	c.Expect(stratumtest.Notify)
	for range 2 {
		c.Send(fmt.Sprintf(`{"id":5,"method":"mining.submit","params":["testa",%q,%q,%q,%q]}`, sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce))
		c.Expect(`{"id":5,"result":null,"error":[<number>,"<text>",null]}`)
	}
	if p.Blocks() != 1 || len(p.Shares()) != 0 {
		t.Errorf("%d blocks, %d shares", p.Blocks(), len(p.Shares()))
	}
}

func TestS13AnotherWorker(t *testing.T) {
	s, p := serve(t)
	c, victim := stratumtest.Dial(t, s.Addr), stratumtest.Dial(t, s.Addr)
	c.Open("testa.rig")
	victim.Open("testb.rig")
	sh := c.Find(&c.Rig.Job)
	for _, name := range []string{"testb.rig", "testa", "testa.rig ", "TESTA.rig", "", "testa.rig\\u0000"} {
		submit(t, c, `{"id":5,"result":null,"error":[24,"Unauthorized worker",null]}`, name, sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	}
	submit(t, c, yes, "testa.rig", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
	if got := p.Shares(); len(got) != 1 || got[0].Worker != "rig" {
		t.Errorf("shares %+v", got)
	}
}

func TestS14Shapes(t *testing.T) {
	c, p := ready(t)
	for _, params := range []string{
		``, `null`, `{}`, `[]`, `"testa"`, `["testa"]`, `[null,null,null,null,null]`, `[1,2,3,4,5]`, `[[],[],[],[],[]]`,
		`[["testa"],"1","2","3","4"]`, `["testa","1","2","3","4","5","6"]`, `[{"a":1},"1","2","3","4"]`, `[true,false,true,false,true]`,
	} {
		line := `{"id":5,"method":"mining.submit","params":` + params + `}`
		if params == "" {
			line = `{"id":5,"method":"mining.submit"}`
		}
		c.Ask(line, `{"id":5,"result":null,"error":[20,"<text>",null]}`)
	}
	sh := c.Find(&c.Rig.Job)
	c.Ask(fmt.Sprintf(`{"id":null,"method":"mining.submit","params":["testa",%q,%q,%q,%q]}`, sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce),
		`{"id":null,"result":null,"error":[20,"mining.submit wants an id",null]}`)
	if len(p.Shares()) != 0 {
		t.Error("a share was made of it")
	}
	submit(t, c, yes, "testa", sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce)
}

// ratio is a difficulty's text times num/den, cut to 12 decimals.
func ratio(difficulty string, num, den int64) string {
	d, _ := new(big.Rat).SetString(difficulty)
	return d.Mul(d, big.NewRat(num, den)).FloatString(12)
}
