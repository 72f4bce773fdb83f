package v1_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
	"github.com/adit-pool/adit/stratum/stratumtest"
)

func accept(t testing.TB, c *stratumtest.Client, s stratumtest.Share) {
	t.Helper()
	line, id := c.SubmitLine(s)
	c.Ask(line, fmt.Sprintf(`{"id":%d,"result":true,"error":null}`, id))
}

func reject(t testing.TB, c *stratumtest.Client, s stratumtest.Share, r pool.Reject) {
	t.Helper()
	line, id := c.SubmitLine(s)
	c.Ask(line, fmt.Sprintf(`{"id":%d,"result":null,"error":[%d,"%s",null]}`, id, r.Code(), r.Message()))
}

// TestSubmitMatrix sends a good share in every bad form of the catalogue (S1 to S14), and in the good
// ones that differ in spelling, each on a connection of its own.
func TestSubmitMatrix(t *testing.T) {
	// params are written with the share's own fields: U user, J job, E extranonce2, T ntime, N nonce.
	f := func(name, params string, want pool.Reject, text string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s, p := serve(t)
			c := stratumtest.Dial(t, s.Addr)
			c.Open("testminer.rig")
			sh := c.Find(&c.Rig.Job)
			params := strings.NewReplacer("U", `"testminer.rig"`, "J", `"`+sh.Job+`"`, "E", `"`+sh.Extranonce2+`"`,
				"T", `"`+sh.NTime+`"`, "N", `"`+sh.Nonce+`"`).Replace(params)
			pattern := `{"id":5,"result":true,"error":null}`
			if want != pool.Accepted {
				pattern = fmt.Sprintf(`{"id":5,"result":null,"error":[%d,"%s",null]}`, want.Code(), text)
			}
			c.Ask(`{"id":5,"method":"mining.submit","params":[`+params+`]}`, pattern)
			counted := map[pool.Reject]int{}
			if want != pool.Accepted {
				counted[want] = 1
			}
			if got := p.Rejects(); !maps.Equal(got, counted) {
				t.Errorf("counted %v, want %v", got, counted)
			}
			if want != pool.Accepted {
				accept(t, c, sh) // the refusal has spoilt nothing
			}
			reject(t, c, sh, pool.RejectDuplicate)
			if n := len(p.Shares()); n != 1 {
				t.Errorf("%d shares", n)
			}
		})
	}
	malformed := func(name, params, text string) {
		t.Helper()
		f(name, params, pool.RejectMalformed, text)
	}
	const en2, nt, no = "extranonce2 must be 16 hex digits", "ntime must be 8 hex digits", "nonce must be 1 to 8 hex digits"
	const bits, number, types = "version bits must be 1 to 8 hex digits", "mining.submit wants 5 or 6 parameters", "mining.submit wants strings"

	f("good", `U,J,E,T,N`, pool.Accepted, "")
	f("zero-version-bits", `U,J,E,T,N,"00000000"`, pool.Accepted, "")
	f("short-version-bits", `U,J,E,T,N,"0"`, pool.Accepted, "")
	f("escaped-user", `"testminer\u002erig",J,E,T,N`, pool.Accepted, "")
	// S2 S3 S4: prefixes, signs, spaces, separators, junk, lengths
	for _, bad := range []string{"", "0x12345678", "+1234567", "-1234567", " 1234567", "1234567 ", "1234_567", "123456789", "zzzzzzzz", "1234567g", "１"} {
		malformed("nonce "+bad, `U,J,E,T,"`+bad+`"`, no)
	}
	for _, bad := range []string{"", "0x123456", "+1234567", " 1234567", "1234567", "123456789", "1234567g"} {
		malformed("ntime "+bad, `U,J,E,"`+bad+`",N`, nt)
	}
	for _, bad := range []string{"", "00", "0x00000000000001", "000000000000000", "00000000000000001", "0000000000000000zz", "00000000000000g0", "+000000000000001", strings.Repeat("0", 4000)} {
		malformed(fmt.Sprintf("extranonce2 %.20s", bad), `U,J,"`+bad+`",T,N`, en2)
	}
	// S6: version bits
	for _, bad := range []string{"", "0x002000", "123456789", "xyz", "-2000"} {
		malformed("version "+bad, `U,J,E,T,N,"`+bad+`"`, bits)
	}
	f("version-outside", `U,J,E,T,N,"20000000"`, pool.RejectVersion, "Version bits outside the mask 1fffe000")
	f("version-low", `U,J,E,T,N,"00001000"`, pool.RejectVersion, "Version bits outside the mask 1fffe000")
	// S12: unknown jobs
	for _, bad := range []string{"", "0", "00000000", "ffffffff", "1", "0x000000", "000000000000", "job", "\\u0000"} {
		f("job "+bad, `U,"`+bad+`",E,T,N`, pool.RejectUnknownJob, "Job not found")
	}
	// S5: ntime out of its window
	f("ntime-zero", `U,J,E,"00000000",N`, pool.RejectNTime, "ntime out of range")
	f("ntime-far", `U,J,E,"ffffffff",N`, pool.RejectNTime, "ntime out of range")
	// S13: worker
	for _, bad := range []string{"", "testminer", "testminer.rig2", "testMiner.rig", "testother.rig", "testminer.rig "} {
		f("user "+bad, `"`+bad+`",J,E,T,N`, pool.RejectUnauthorized, "Unauthorized worker")
	}
	// S14: shapes
	malformed("none", ``, number)
	malformed("four", `U,J,E,T`, number)
	malformed("seven", `U,J,E,T,N,"0","0"`, number)
	malformed("null-nonce", `U,J,E,T,null`, types)
	malformed("number-nonce", `U,J,E,T,5`, types)
	malformed("number-job", `U,5,E,T,N`, types)
	malformed("array", `U,J,[E],T,N`, types)
	malformed("array-in-array", `U,J,[[E]],T,N`, types)
	malformed("object", `{"a":U},J,E,T,N`, types)
	malformed("null-version", `U,J,E,T,N,null`, types)
	malformed("true-user", `true,J,E,T,N`, types)
}

// S1, S8: spellings of one share are one share.
func TestSpellingsAreOneShare(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testminer")
	var sh stratumtest.Share
	for { // one whose nonce has a letter and a leading zero
		sh = c.Find(&c.Rig.Job)
		if sh.Nonce[0] == '0' && strings.ContainsAny(sh.Nonce, "abcdef") {
			break
		}
	}
	sh.NTime = strings.ToUpper(sh.NTime)
	accept(t, c, sh)
	other := sh
	other.Nonce = strings.ToUpper(sh.Nonce)
	reject(t, c, other, pool.RejectDuplicate)
	other.Nonce = strings.TrimLeft(sh.Nonce, "0")
	reject(t, c, other, pool.RejectDuplicate)
	other.NTime = strings.ToLower(sh.NTime)
	reject(t, c, other, pool.RejectDuplicate)
	if len(p.Shares()) != 1 {
		t.Errorf("%d shares", len(p.Shares()))
	}
}

// S7: shares that differ in rolled bits alone are different shares, negotiated or not.
func TestVersionRolling(t *testing.T) {
	f := func(name, configure string, bits uint32, want pool.Reject, text string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			s, _ := serve(t)
			c := stratumtest.Dial(t, s.Addr)
			if configure != "" {
				c.Ask(configure, `{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"<hex8>"},"error":null}`)
			}
			c.Open("testrig")
			sh, err := c.Rig.Job.Find(c.Rig.Extranonce1, "0000000000000001", bits, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			pattern := `{"id":5,"result":true,"error":null}`
			if want != pool.Accepted {
				pattern = fmt.Sprintf(`{"id":5,"result":null,"error":[%d,"%s",null]}`, want.Code(), text)
			}
			c.Ask(fmt.Sprintf(`{"id":5,"method":"mining.submit","params":["testrig",%q,%q,%q,%q,%q]}`,
				sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce, sh.VersionBits), pattern)
		})
	}
	const narrow = `{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"00fff000"}]}`
	f("negotiated", narrow, 0x0000a000, pool.Accepted, "")
	f("not-negotiated", "", 0x1fffe000, pool.Accepted, "")
	f("outside-negotiated", narrow, 0x01000000, pool.RejectVersion, "Version bits outside the mask 00ffe000")
}

// A share needs an id to be answered to, a session, and a user.
func TestSubmitTooEarly(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	const submit = `{"id":5,"method":"mining.submit","params":["testa","00000001","0000000000000000","00000000","00000000"]}`
	c.Ask(submit, `{"id":5,"result":null,"error":[25,"Not subscribed",null]}`)
	c.Ask(`{"id":1,"method":"mining.subscribe","params":["t/1"]}`, `{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<hex32>"]],"<hex8>",8],"error":null}`)
	c.Ask(submit, `{"id":5,"result":null,"error":[24,"Unauthorized worker",null]}`)
	c.Ask(`{"id":2,"method":"mining.authorize","params":["testa"]}`, `{"id":2,"result":true,"error":null}`)
	c.Expect(stratumtest.SetDifficulty)
	c.Expect(stratumtest.Notify)
	c.User = "testa"
	sh := c.Find(&c.Rig.Job)
	c.Ask(fmt.Sprintf(`{"id":null,"method":"mining.submit","params":["testa",%q,%q,%q,%q]}`, sh.Job, sh.Extranonce2, sh.NTime, sh.Nonce),
		`{"id":null,"result":null,"error":[20,"mining.submit wants an id",null]}`)
	if len(p.Shares()) != 0 {
		t.Error("a share without an id was taken")
	}
}

// Many users on one connection, each credited; another connection's user is not one of them (S13). A job
// of another session is unknown (S12), and so is its share (S9).
func TestManyUsers(t *testing.T) {
	s, p := serve(t, func(o *stratum.Options) { o.MaxUsers = 20 })
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testfarm.0")
	for i := 1; i < 20; i++ {
		c.Ask(fmt.Sprintf(`{"id":2,"method":"mining.authorize","params":["testfarm.%d"]}`, i), `{"id":2,"result":true,"error":null}`)
	}
	c.Ask(`{"id":2,"method":"mining.authorize","params":["testfarm.20"]}`, `{"id":2,"result":false,"error":[24,"too many users on one connection",null]}`)
	c.Ask(`{"id":2,"method":"mining.authorize","params":["testfarm.3"]}`, `{"id":2,"result":true,"error":null}`)
	for i := range 20 {
		c.User = fmt.Sprintf("testfarm.%d", i)
		accept(t, c, c.Find(&c.Rig.Job))
	}
	for i, sh := range p.Shares() {
		if want := fmt.Sprint(i); sh.Worker != want {
			t.Errorf("share %d is %q's", i, sh.Worker)
		}
	}
	other := stratumtest.Dial(t, s.Addr)
	other.Open("testother")
	other.User = "testfarm.0"
	reject(t, other, other.Find(&other.Rig.Job), pool.RejectUnauthorized)
	other.User = "testother"
	reject(t, other, other.Find(&c.Rig.Job), pool.RejectUnknownJob)
}

// Many hashes are below the target of a lower difficulty only: 23, and the miner goes on.
func TestLowDifficulty(t *testing.T) {
	s, _ := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	easy := c.Rig.Job
	easy.Difficulty = "0.0000000001"
	sh, err := easy.Find(c.Rig.Extranonce1, "0000000000000001", 0, 0, stratumtest.Target(c.Rig.Difficulty))
	if err != nil {
		t.Fatal(err)
	}
	reject(t, c, sh, pool.RejectLowDifficulty)
	accept(t, c, c.Find(&c.Rig.Job))
}

// A wish counts from the next job on, which comes at once; the share of an older job that meets only the
// new difficulty is answered true and credited nothing; repeats bring nothing.
func TestSuggestDifficulty(t *testing.T) {
	s, p := serve(t)
	c := stratumtest.Dial(t, s.Addr)
	c.Open("testa")
	old := c.Rig.Job
	c.Ask(`{"id":5,"method":"mining.suggest_difficulty","params":["0.0000000010"]}`, `{"id":5,"result":true,"error":null}`)
	c.Expect(`{"id":null,"method":"mining.set_difficulty","params":[0.000000001]}`)
	if c.Expect(stratumtest.Notify)["clean"] != "false" {
		t.Error("a change of difficulty makes work stale")
	}
	for range 3 {
		c.Ask(`{"id":6,"method":"mining.suggest_difficulty","params":[1e-9]}`, `{"id":6,"result":true,"error":null}`)
	}
	accept(t, c, c.Find(&old))
	weak := old
	weak.Difficulty = c.Rig.Difficulty
	early, err := weak.Find(c.Rig.Extranonce1, "00000000000000ff", 0, 0, stratumtest.Target(old.Difficulty))
	if err != nil {
		t.Fatal(err)
	}
	accept(t, c, early)
	shares := p.Shares()
	if last := shares[len(shares)-1]; last.Flags&pool.ShareEarly == 0 || !last.Credit.IsZero() {
		t.Errorf("early share: flags %v, credit %v", last.Flags, last.Credit)
	}
	accept(t, c, c.Find(&c.Rig.Job))
	// Another wish within the minute waits for the next job.
	c.Ask(`{"id":7,"method":"mining.suggest_difficulty(0.000000003)","params":[]}`, `{"id":7,"result":true,"error":null}`)
	c.Ask(`{"id":8,"method":"mining.ping"}`, `{"id":8,"result":"pong","error":null}`)
	p.Refresh()
	c.Expect(`{"id":null,"method":"mining.set_difficulty","params":[0.000000003]}`)
	c.Expect(stratumtest.Notify)
}

// A wish before the first job is the first job's difficulty, within the listener's range.
func TestSuggestFirst(t *testing.T) {
	f := func(wish, want string) {
		t.Helper()
		s, _ := serve(t)
		c := stratumtest.Dial(t, s.Addr)
		c.Ask(wish, `{"id":5,"result":<word>,"error":null}`)
		c.Open("testa")
		if c.Rig.Difficulty != want {
			t.Errorf("after %s: %s, want %s", wish, c.Rig.Difficulty, want)
		}
	}
	f(`{"id":5,"method":"mining.suggest_difficulty","params":[0.00015]}`, "0.00015")
	f(`{"id":5,"method":"mining.suggest_difficulty","params":[1e-30]}`, "0.000000001")
	f(`{"id":5,"method":"mining.suggest_difficulty","params":[100000]}`, "1") // the network's
	f(`{"id":5,"method":"mining.suggest_target","params":["0000000fffff0000000000000000000000000000000000000000000000000000"]}`, "0.062499105929")
}
