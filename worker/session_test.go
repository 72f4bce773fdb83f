package worker

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// knowing is a kernel that knows the one header to be found, so that whole
// nonce spaces pass in no time; the hash is still the real one.
type knowing struct {
	kernels.Kernel
	want [80]byte
}

func (k knowing) Scan(header *[80]byte, first uint32, count uint64, target *[32]byte, found func(uint32) bool) uint64 {
	nonce := uint32(k.want[76]) | uint32(k.want[77])<<8 | uint32(k.want[78])<<16 | uint32(k.want[79])<<24
	hash := k.Hash(&k.want)
	if bytes.Equal(header[:76], k.want[:76]) && nonce >= first && uint64(nonce-first) < count && kernels.Meets(&hash, target) {
		if !found(nonce) {
			return uint64(nonce-first) + 1
		}
	}
	return kernels.Clip(first, count)
}

// The recorded sessions, played to the rig over TCP: it must come to the very
// submit that was recorded.
func TestVectorsOverTheWire(t *testing.T) {
	for _, v := range loadVectors(t).Shares {
		t.Run(v.Name, func(t *testing.T) {
			p := listen(t)
			var two uint64
			for _, b := range unhex(t, v.Submit.Extranonce2) {
				two = two<<8 | uint64(b)
			}
			// Only the slush vector rolled ntime, further than a test may wait.
			rolledBy := number32(t, v.Submit.NTime) - number32(t, strings.Trim(string(v.NotifyParams[7]), `"`))
			if rolledBy != 0 {
				v.NotifyParams[7] = json.RawMessage(`"` + v.Submit.NTime + `"`)
			}
			r := start(t, p, func(o *Options, _ *timing) {
				o.Kernel = knowing{kernel(t, v.Algo), [80]byte(unhex(t, v.Expect.Header))}
				o.Limit = NewLimit(1e-6) // holds the threads until the counter is set
			})
			r.rig.search.extranonce2.Store(two)
			peer := p.accept()
			mask := ""
			if v.VersionMask != nil {
				mask = *v.VersionMask
			}
			peer.login(v.Subscribe.Extranonce1, v.Subscribe.Extranonce2Size, mask)
			peer.difficulty("1")
			params, _ := json.Marshal(v.NotifyParams)
			peer.send(`{"id":null,"method":"mining.notify","params":%s}`, params)
			r.rig.search.limit.Set(0)
			got := peer.submit()
			want := []string{"alice.rig1", "job1", v.Submit.Extranonce2, v.Submit.NTime, v.Submit.Nonce}
			if v.Submit.VersionBits != nil {
				want = append(want, *v.Submit.VersionBits)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("submitted %v, want %v", got, want)
			}
			await(t, "the accepted share", func() bool { return len(r.events.of(Accepted)) == 1 })
			if h := r.events.of(Accepted)[0].Share.Header; hex.EncodeToString(h[:]) != v.Expect.Header {
				t.Errorf("event has header %x, want %s", h, v.Expect.Header)
			}
		})
	}
}

// Everything the rig sends at the start, to the letter.
func TestOpening(t *testing.T) {
	p := listen(t)
	start(t, p, func(o *Options, _ *timing) { o.Password, o.Agent = "d=1&<x>", "rig/1.0" })
	peer := p.accept()
	line := func(want string) {
		t.Helper()
		_ = peer.conn.SetReadDeadline(time.Now().Add(patience))
		if got, err := peer.reader.ReadString('\n'); err != nil || got != want+"\n" {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	line(`{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":0}]}`)
	line(`{"id":2,"method":"mining.subscribe","params":["rig/1.0"]}`)
	peer.send(`{"id":2,"result":[[],"ab",4],"error":null}`) // configure is never answered
	line(`{"id":3,"method":"mining.authorize","params":["alice.rig1","d=1&<x>"]}`)
	line(`{"id":4,"method":"mining.extranonce.subscribe","params":[]}`)
	peer.send(`{"id":4,"result":false,"error":[20,"Not supported.",null]}` + "\r\n\n" + `{"id":3,"result":true,"error":null}` + "\r")
	peer.difficulty(everyHash)
	j := sampleJob("a", true)
	peer.notify(j)
	if s := peer.submit(); len(s) != 5 {
		t.Errorf("submit %v has version bits without version rolling", s)
	}
}

// A job that comes before the login is answered waits for it.
func TestJobBeforeLogin(t *testing.T) {
	p := listen(t)
	start(t, p, nil)
	peer := p.accept()
	peer.difficulty(everyHash)
	j := sampleJob("early", true)
	peer.notify(sampleJob("earlier", true))
	peer.expect("mining.configure")
	peer.send(`{"id":%s,"result":[[["mining.notify","1"]],"ab",4],"error":null}`, peer.expect("mining.subscribe").id)
	login := peer.expect("mining.authorize")
	peer.notify(j)
	peer.expect("mining.extranonce.subscribe")
	time.Sleep(20 * time.Millisecond) // what must not happen would happen now
	peer.send(`{"id":9,"method":"mining.ping"}`)
	if c := peer.next(); c.result != "pong" {
		t.Fatalf("the rig sent %+v before the login was answered", c)
	}
	peer.send(`{"id":%s,"result":true,"error":null}`, login.id)
	if s := peer.submit(); s[1] != "early" || !meets(headerOf(j, "ab", s, 0), everyHash) {
		t.Errorf("share %v", s)
	}
}

func TestAnswersThePool(t *testing.T) {
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) { o.Agent = "rig/1.0" })
	peer := p.accept()
	peer.login("ab", 4, "")
	f := func(send, id string, result, refused any) {
		t.Helper()
		peer.send("%s", send)
		c := peer.next()
		got, _ := json.Marshal([]any{c.id, c.result, c.err})
		want, _ := json.Marshal([]any{id, result, refused})
		if c.method != "" || !bytes.Equal(got, want) {
			t.Errorf("%s: answer %s, want %s", send, got, want)
		}
	}
	f(`{"id":7,"method":"client.get_version","params":[]}`, "7", "rig/1.0", nil)
	f(`{"id":"q","method":"mining.ping"}`, `"q"`, "pong", nil)
	f(`{"id":8,"method":"client.show_message","params":["hel\u001blo"]}`, "8", true, nil)
	f(`{"id":9,"method":"mining.dance","params":[]}`, "9", nil, []any{20, "Unsupported method", nil})
	// Notifications get no answer: the next line is that of the ping.
	peer.send(`{"id":null,"method":"client.show_message","params":["again"]}`)
	peer.send(`{"id":null,"method":"mining.dance","params":[]}`)
	f(`{"id":10,"method":"mining.ping","params":[]}`, "10", "pong", nil)
	said := r.events.of(Message)
	if len(said) != 2 || said[0].Text != "hel lo" || said[1].Text != "again" {
		t.Errorf("messages %+v", said)
	}
}

// Every share is checked from its texts alone, by code that knows only the
// protocol; none comes twice.
func TestSharesAreValid(t *testing.T) {
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) { o.Limit = nil })
	peer := p.accept()
	peer.login("08000002", 4, "1fffe000")
	const difficulty = "0.0000001"
	seen := map[string]bool{}
	for _, id := range []string{"1f", "20", "21"} {
		j := sampleJob(id, id != "20")
		peer.difficulty(difficulty)
		peer.notify(j)
		for fresh := 0; fresh < 40; {
			s := peer.submit()
			if s[1] != id {
				continue // of the job before
			}
			fresh++
			header := headerOf(j, "08000002", s, 0x1fffe000)
			if len(s) != 6 || len(s[2]) != 8 || !meets(header, difficulty) {
				t.Fatalf("submit %v is not a share: header %s", s, header)
			}
			if seen[header] {
				t.Fatalf("submit %v came twice", s)
			}
			seen[header] = true
		}
	}
	await(t, "120 accepted shares", func() bool { return r.rig.stats.Counts().Accepted >= 120 })
	r.stop()
	c := r.rig.stats.Counts()
	if c.Submitted != c.Accepted+c.Lost || c.Rejected != 0 || c.Hashes < c.Accepted {
		t.Errorf("counts %+v", c)
	}
	for _, e := range r.events.of(Accepted) {
		if _, of := seen[hex.EncodeToString(e.Share.Header[:])]; !of && e.Share.Job == "21" {
			continue // accepted after the test had seen enough
		}
		if e.Share.Difficulty != difficulty || e.Time.IsZero() {
			t.Fatalf("event %+v", e)
		}
	}
}

// A difficulty holds for the jobs after it, not for the job in hand.
func TestDifficultyIsForTheNextJob(t *testing.T) {
	p := listen(t)
	start(t, p, func(o *Options, _ *timing) { o.Limit = NewLimit(20_000) })
	peer := p.accept()
	peer.login("ab", 4, "")
	peer.difficulty(everyHash)
	first, second := sampleJob("1", true), sampleJob("2", false)
	peer.notify(first)
	peer.submit()
	const hard = "0.00000005"
	peer.difficulty(hard)
	easy := 0
	for range 100 {
		if s := peer.submit(); !meets(headerOf(first, "ab", s, 0), hard) {
			easy++
		}
	}
	if easy < 50 {
		t.Errorf("only %d of 100 shares of the job in hand are below the difficulty that came after it", easy)
	}
	peer.notify(second)
	for hardShares := 0; hardShares < 10; {
		s := peer.submit()
		if s[1] != "2" {
			continue
		}
		hardShares++
		if !meets(headerOf(second, "ab", s, 0), hard) {
			t.Fatalf("share %v of the new job is below its difficulty", s)
		}
	}
}

// A clean job takes the threads off old work at once, and what they had found
// is dropped; at one hash a second too.
func TestCleanJobSwitch(t *testing.T) {
	for _, rate := range []float64{0, 2} {
		p := listen(t)
		r := start(t, p, func(o *Options, _ *timing) { o.Limit = NewLimit(rate); o.Threads = 4 })
		peer := p.accept()
		peer.login("ab", 4, "1fffe000")
		peer.difficulty(everyHash)
		peer.notify(sampleJob("old", true))
		peer.submit()
		peer.notify(sampleJob("new", true))
		begin := time.Now()
		// The pool reads what was under way; once one share is of the new job,
		// all are.
		for peer.submit()[1] != "new" {
		}
		if waited := time.Since(begin); waited > 15*time.Second {
			t.Errorf("limit %v: %v until the first share of the new job", rate, waited)
		}
		if rate > 0 {
			continue
		}
		for range 200 {
			if s := peer.submit(); s[1] != "new" {
				t.Fatalf("share %v of the old job after one of the new", s)
			}
		}
		// The rig had heard of the job before it sent anything more of the old.
		jobs := r.events.of(NewJob)
		for _, e := range r.events.of(Submitted) {
			if e.Share.Job == "old" && e.Time.After(jobs[1].Time) {
				t.Errorf("a share of the old job was sent after the clean job had come")
			}
		}
	}
}

// What was found just before a job that is not clean is still sent.
func TestUncleanJobKeepsShares(t *testing.T) {
	s := newSession(&rig{kernel: sha256d.Kernel{}, stats: &Stats{}, search: newSearch(sha256d.Kernel{}, &Limit{}, &Stats{})}, deaf(t), choice{}, endpoint{})
	s.subscribed, s.loggedIn = true, true
	s.extranonce = extranonce{[]byte{1}, 4}
	d := sampleDevice()
	find := func() find {
		w := s.rig.search.current.Load()
		b, _ := w.next(1, &s.rig.search.extranonce2)
		return find{w, b, b.nonce, d}
	}
	f := func(name string, change string, sent bool) {
		t.Helper()
		before := s.submits
		old := find()
		m, err := parseMessage([]byte(change))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.receive(m), s.submit(old)); err != nil {
			t.Fatal(err)
		}
		if (s.submits > before) != sent {
			t.Errorf("%s: share of the old job sent: %v", name, !sent)
		}
	}
	notify := func(clean string) string {
		return `{"method":"mining.notify","params":["1","` + strings.Repeat("00", 32) + `","","",[],"20000000","170331db","65f0a1b2",` + clean + `]}`
	}
	first, _ := parseMessage([]byte(notify("true")))
	if err := s.receive(first); err != nil {
		t.Fatal(err)
	}
	f("job that is not clean", notify("false"), true)
	f("clean job", notify("true"), false)
	f("difficulty", `{"method":"mining.set_difficulty","params":[7]}`, true)
	f("extranonce alone", `{"method":"mining.set_extranonce","params":["02",2]}`, true)
	f("job after an extranonce", notify("false"), false)
	// Rolling agreed after the job came: the old share says the job's own bits.
	s.pending[99] = asked{method: "mining.configure"}
	f("version rolling", `{"id":99,"result":{"version-rolling":true,"version-rolling.mask":"0000e000"},"error":null}`, true)
	w := s.rig.search.current.Load()
	for range 2 { // on to the second version
		if _, ok := w.next(nonces, &s.rig.search.extranonce2); !ok {
			t.Fatal("no second version")
		}
	}
	rolledNow, _ := w.next(1, &s.rig.search.extranonce2)
	if rolledNow.header[1]&0xe0 == 0 {
		t.Fatalf("header %x does not roll its version", rolledNow.header)
	}
	f("smaller mask", `{"method":"mining.set_version_mask","params":["00000000"]}`, false)
	f("mask wider than was asked for", `{"method":"mining.set_version_mask","params":["FFFFFFFF"]}`, true)
	if s.mask != versionMask {
		t.Errorf("mask %x, want %x", s.mask, versionMask)
	}
}

// A job whose version has bits of the mask set: they stay set in what is hashed
// and in what is sent, so that a pool which replaces the masked bits (BIP310) and
// one which only adds those sent (ckpool) come to the same header.
func TestRollsAroundTheJobsBits(t *testing.T) {
	p := listen(t)
	start(t, p, func(o *Options, _ *timing) { o.Kernel = spacious{}; o.Limit = nil; o.Threads = 1 })
	peer := p.accept()
	const mask = 0x1fffe000
	peer.login("ab", 4, "1fffe000")
	peer.difficulty(everyHash)
	j := sampleJob("1", true)
	j.version = "3004c004"
	peer.notify(j)
	versions := map[uint32]bool{}
	for range 40 {
		s := peer.submit()
		job, bits := number32(t, j.version), number32(t, s[5])
		replaced, added := job&^mask|bits, job|bits
		if bits&^mask != 0 || replaced != added {
			t.Fatalf("version bits %s: %08x when replaced, %08x when added", s[5], replaced, added)
		}
		versions[replaced] = true
	}
	if len(versions) < 20 {
		t.Errorf("%d versions in 40 shares", len(versions))
	}
}

// spacious finds the first nonce of each header and is through with the rest.
type spacious struct{ sha256d.Kernel }

func (spacious) Scan(_ *[80]byte, first uint32, count uint64, _ *[32]byte, found func(uint32) bool) uint64 {
	if first == 0 && !found(0) {
		return 1
	}
	return kernels.Clip(first, count)
}

// deaf is a client whose pool takes every line and says nothing.
func deaf(t testing.TB) *client {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 4096)
		for {
			if _, err := theirs.Read(buffer); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = ours.Close(); <-done })
	return &client{conn: ours, timing: quick}
}

// Set_extranonce and set_version_mask take their effect on what is sent.
func TestExtranonceAndMaskChange(t *testing.T) {
	p := listen(t)
	start(t, p, nil)
	peer := p.accept()
	peer.login("ab", 4, "1fffe000")
	peer.difficulty(everyHash)
	j := sampleJob("1", true)
	peer.notify(j)
	peer.submit()
	peer.send(`{"id":null,"method":"mining.set_extranonce","params":["cdef",6]}`)
	peer.notify(sampleJob("1", false)) // the same job id
	for {
		s := peer.submit()
		if len(s[2]) == 8 {
			continue
		}
		if len(s[2]) != 12 || !meets(headerOf(j, "cdef", s, 0x1fffe000), everyHash) {
			t.Fatalf("submit %v after set_extranonce", s)
		}
		break
	}
	peer.send(`{"id":null,"method":"mining.set_version_mask","params":["e000"]}`)
	if s := peer.submit(); len(s) != 6 {
		t.Errorf("submit %v without version bits", s)
	}
}

// Set_target is a difficulty in other words, for the next job.
func TestSetTarget(t *testing.T) {
	p := listen(t)
	r := start(t, p, nil)
	peer := p.accept()
	peer.login("ab", 4, "")
	for _, bad := range []string{`[]`, `[7]`, `["00ff"]`, `["` + strings.Repeat("0", 64) + `"]`, `["` + strings.Repeat("g", 64) + `"]`} {
		peer.send(`{"id":null,"method":"mining.set_target","params":%s}`, bad)
	}
	peer.send(`{"id":null,"method":"mining.set_target","params":["%s"]}`, "40"+strings.Repeat("00", 31))
	j := sampleJob("1", true)
	peer.notify(j)
	for range 5 {
		header := headerOf(j, "ab", peer.submit(), 0)
		if !meets(header, "9.3130e-10") || r.events.of(NewJob)[0].Difficulty != "9.31308e-10" {
			t.Errorf("share %s at difficulty %s", header, r.events.of(NewJob)[0].Difficulty)
		}
	}
}

// FuzzSession feeds whole conversations to a session that has work in flight.
func FuzzSession(f *testing.F) {
	f.Add([]byte(strings.Join(seeds(), "\n")))
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	k := sha256d.Kernel{}
	c := deaf(f)
	f.Fuzz(func(t *testing.T, conversation []byte) {
		if len(conversation) > 1<<16 {
			return
		}
		r := &rig{kernel: k, stats: &Stats{}, search: newSearch(k, &Limit{}, &Stats{}), timing: quick, rolls: true}
		at := endpoint{host: "127.0.0.1", port: "1"}
		s := newSession(r, c, choice{endpoint: at}, at)
		if err := errors.Join(s.ask("mining.configure"), s.ask("mining.subscribe")); err != nil {
			t.Fatal(err)
		}
		for text := range bytes.SplitSeq(conversation, []byte("\n")) {
			m, err := parseMessage(text)
			if err != nil {
				m = message{bad: err}
			}
			if s.receive(m) != nil {
				break
			}
			if w := r.search.current.Load(); w.job != nil && len(s.pending) < maxUnanswered {
				b, _ := w.next(1, &r.search.extranonce2)
				if err := s.submit(find{w, b, b.nonce, sampleDevice()}); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.end()
	})
}
