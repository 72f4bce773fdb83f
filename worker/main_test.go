package worker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/adit-pool/adit/kernels/sha256d"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// scriptedPool is a pool in a test's hand: it listens on real TCP and says only
// what the test writes.
type scriptedPool struct {
	t        *testing.T
	listener net.Listener
	scheme   string
}

func listen(t *testing.T) *scriptedPool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &scriptedPool{t, l, "stratum+tcp://"}
}

func (p *scriptedPool) url() string  { return p.scheme + p.listener.Addr().String() }
func (p *scriptedPool) port() string { return fmt.Sprint(p.listener.Addr().(*net.TCPAddr).Port) }

func (p *scriptedPool) accept() *peer {
	p.t.Helper()
	type deadliner interface{ SetDeadline(time.Time) error }
	if d, ok := p.listener.(deadliner); ok {
		_ = d.SetDeadline(time.Now().Add(patience))
	}
	conn, err := p.listener.Accept()
	if err != nil {
		p.t.Fatalf("the rig did not connect: %v", err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return &peer{p.t, conn, bufio.NewReader(conn)}
}

// peer is the pool's end of one connection.
type peer struct {
	t      *testing.T
	conn   net.Conn
	reader *bufio.Reader
}

// call is a line from the rig; id is its text.
type call struct {
	id     string
	method string
	params []any
	result any
	err    any
}

func (p *peer) read() (call, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	text, err := p.reader.ReadString('\n')
	if err != nil {
		return call{}, err
	}
	var raw struct {
		ID            json.RawMessage
		Method        string
		Params        []any
		Result, Error any
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return call{}, fmt.Errorf("line %q: %w", text, err)
	}
	return call{string(raw.ID), raw.Method, raw.Params, raw.Result, raw.Error}, nil
}

func (p *peer) next() call {
	p.t.Helper()
	c, err := p.read()
	if err != nil {
		p.t.Fatalf("read from the rig: %v", err)
	}
	return c
}

func (p *peer) expect(method string) call {
	p.t.Helper()
	c := p.next()
	if c.method != method {
		p.t.Fatalf("the rig sent %+v, want %s", c, method)
	}
	return c
}

// expectClosed reads on until the rig is gone.
func (p *peer) expectClosed() {
	p.t.Helper()
	for {
		if _, err := p.read(); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				p.t.Fatal("the rig did not close the connection")
			}
			return
		}
	}
}

func (p *peer) send(format string, a ...any) {
	p.t.Helper()
	_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(p.conn, format+"\n", a...); err != nil {
		p.t.Fatalf("write to the rig: %v", err)
	}
}

// login plays the opening; mask "" refuses version rolling.
func (p *peer) login(extranonce1 string, size int, mask string) {
	p.t.Helper()
	c := p.expect("mining.configure")
	if mask == "" {
		p.send(`{"id":%s,"result":null,"error":[20,"Unsupported method",null]}`, c.id)
	} else {
		p.send(`{"id":%s,"result":{"version-rolling":true,"version-rolling.mask":"%s"},"error":null}`, c.id, mask)
	}
	c = p.expect("mining.subscribe")
	p.send(`{"id":%s,"result":[[["mining.set_difficulty","1"],["mining.notify","1"]],"%s",%d],"error":null}`, c.id, extranonce1, size)
	c = p.expect("mining.authorize")
	p.send(`{"id":%s,"result":true,"error":null}`, c.id)
	c = p.expect("mining.extranonce.subscribe")
	p.send(`{"id":%s,"result":true,"error":null}`, c.id)
}

// everyHash is a difficulty at which each hash is a share; a quarter of a hash
// in a million is 2^-32 · 10^-6.
const everyHash = "2e-16"

// wireJob is a mining.notify as its texts.
type wireJob struct {
	id, prevhash, coinb1, coinb2 string
	branch                       []string
	version, nbits, ntime        string
	clean                        bool
}

func sampleJob(id string, clean bool) wireJob {
	return wireJob{
		id:       id,
		prevhash: "171592f223740e92d223f6e68bff25279af7ac4f2246451e0000000200000000",
		coinb1:   "0200000001aa" + hex.EncodeToString([]byte(id)),
		coinb2:   "ffffffff0100",
		branch:   []string{strings.Repeat("17", 32), "d5644ab3e708c54cd68dc5aedc92b8d3037449687f92ec41ed6e37673d969d4a"},
		version:  "20000000", nbits: "192495f8", ntime: "64b3f3ec", clean: clean,
	}
}

func (p *peer) notify(j wireJob) {
	p.t.Helper()
	branch := "[]"
	if len(j.branch) > 0 {
		branch = `["` + strings.Join(j.branch, `","`) + `"]`
	}
	p.send(`{"id":null,"method":"mining.notify","params":["%s","%s","%s","%s",%s,"%s","%s","%s",%v]}`,
		j.id, j.prevhash, j.coinb1, j.coinb2, branch, j.version, j.nbits, j.ntime, j.clean)
}

func (p *peer) difficulty(d string) {
	p.t.Helper()
	p.send(`{"id":null,"method":"mining.set_difficulty","params":[%s]}`, d)
}

// submit reads a submit and accepts it.
func (p *peer) submit() []string {
	p.t.Helper()
	c := p.expect("mining.submit")
	p.send(`{"id":%s,"result":true,"error":null}`, c.id)
	return texts(p.t, c)
}

func texts(t *testing.T, c call) (out []string) {
	t.Helper()
	for _, param := range c.params {
		s, ok := param.(string)
		if !ok {
			t.Fatalf("param %v of %s is not a string", param, c.method)
		}
		out = append(out, s)
	}
	return out
}

// headerOf puts the 80 bytes together from the texts on the wire, as hex, by
// moving digits about: stratum-v1 section 4 in strings.
func headerOf(j wireJob, extranonce1 string, submit []string, mask uint32) string {
	coinbase := j.coinb1 + extranonce1 + submit[2] + j.coinb2
	root := doubleHash(coinbase)
	for _, node := range j.branch {
		root = doubleHash(root + node)
	}
	version := j.version
	if len(submit) > 5 {
		var job, bits uint32
		_, _ = fmt.Sscanf(j.version+" "+submit[5], "%x %x", &job, &bits)
		version = fmt.Sprintf("%08x", job&^mask|bits&mask)
	}
	prevhash := ""
	for i := 0; i < 64; i += 8 {
		prevhash += backwards(j.prevhash[i : i+8])
	}
	return backwards(version) + prevhash + root + backwards(submit[3]) + backwards(j.nbits) + backwards(submit[4])
}

// backwards reverses the bytes of a hex text.
func backwards(digits string) string {
	out := ""
	for i := len(digits); i > 0; i -= 2 {
		out += digits[i-2 : i]
	}
	return out
}

func doubleHash(digits string) string {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	once := sha256.Sum256(b)
	twice := sha256.Sum256(once[:])
	return hex.EncodeToString(twice[:])
}

// meets: the hash of the header is at most 0xffff·2^208 / difficulty.
func meets(header, difficulty string) bool {
	hash, _ := new(big.Int).SetString(backwards(doubleHash(header)), 16)
	d, _ := new(big.Rat).SetString(difficulty)
	diff1 := new(big.Int).Lsh(big.NewInt(0xffff), 208)
	return d.Mul(d, new(big.Rat).SetInt(hash)).Cmp(new(big.Rat).SetInt(diff1)) <= 0
}

// running is a rig under test.
type running struct {
	rig    *rig
	limit  *Limit
	events *events
	stop   func() // ends it and waits
	wait   func() // until it ends by itself
	err    error  // of run, when it has ended
}

// quick timing, so that no test waits long for a reconnect.
var quick = timing{
	dial: patience, write: patience, silence: patience, login: patience, answer: patience,
	tick: 10 * time.Millisecond, backoffLeast: 10 * time.Millisecond, backoffMost: 100 * time.Millisecond,
	work: patience, leave: patience, probe: 20 * time.Millisecond, probeMost: 40 * time.Millisecond,
	measure: 5 * time.Millisecond, retry: 100 * time.Microsecond, stuck: patience, abandon: patience,
}

// start runs a rig against the pool; change may alter it first.
func start(t *testing.T, p *scriptedPool, change func(*Options, *timing)) *running {
	t.Helper()
	seen := &events{}
	limit := NewLimit(2000)
	o := Options{
		Pool: p.url(), User: "alice.rig1", Kernel: sha256d.Kernel{}, Threads: 2, Limit: limit,
		Log: zerolog.New(testWriter{t}), Observer: seen.add,
	}
	timing := quick
	if change != nil {
		change(&o, &timing)
	}
	r, err := newRig(o)
	if err != nil {
		t.Fatal(err)
	}
	r.timing = timing
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	run := &running{rig: r, limit: limit, events: seen}
	wait.Go(func() { run.err = r.run(ctx) })
	run.stop = func() { cancel(); wait.Wait() }
	run.wait = wait.Wait
	t.Cleanup(run.stop)
	return run
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if os.Getenv("WORKER_LOG") != "" {
		w.t.Log(string(bytes.TrimSpace(p)))
	}
	return len(p), nil
}

// events collects what a rig reports.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) add(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

// of copies those of one kind.
func (e *events) of(kind EventKind) (out []Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.list {
		if event.Kind == kind {
			out = append(out, event)
		}
	}
	return out
}

// await polls until done is true.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}
