package stratumtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// Limits are what Start gives a server that is not told otherwise: no vardiff, and a rig in Go finds a share
// in some ten hashes.
func Limits() pool.Limits { return pool.Limits{Start: 2e-9, Min: 1e-9, Max: 1e6} }

// Running is a server under test.
type Running struct {
	*stratum.Server
	Addr string

	cancel context.CancelFunc
	done   chan error
}

// Start serves o on a free TCP port until the test ends or Stop.
func Start(t testing.TB, o stratum.Options) *Running {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return StartOn(t, ln, o)
}

// StartOn serves o on ln.
func StartOn(t testing.TB, ln net.Listener, o stratum.Options) *Running {
	t.Helper()
	if o.Limits == (pool.Limits{}) {
		o.Limits = Limits()
	}
	s, err := stratum.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{Server: s, Addr: ln.Addr().String(), cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() { r.Stop(t) })
	return r
}

// Stop drains the server and waits for its end; again it does nothing.
func (r *Running) Stop(t testing.TB) {
	t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.done; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// Drain begins the end of the server without waiting for it.
func (r *Running) Drain() { r.cancel() }

// Client is a connection that speaks in lines.
type Client struct {
	net.Conn
	Rig  Rig
	User string // the last one authorized by Open

	t    testing.TB
	in   *bufio.Reader
	next uint64 // extranonce2
	id   int
}

// Dial connects to a server over TCP. The connection is closed when the test ends.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(t, nc)
}

// NewClient speaks over nc.
func NewClient(t testing.TB, nc net.Conn) *Client {
	t.Cleanup(func() { nc.Close() })
	return &Client{Conn: nc, t: t, in: bufio.NewReaderSize(nc, 1<<16), id: 100}
}

// Send writes a line.
func (c *Client) Send(line string) {
	c.t.Helper()
	c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatalf("send %.200q: %v", line, err)
	}
}

// Next reads a line, or the end of the connection as an error.
func (c *Client) Next(wait time.Duration) (string, error) {
	c.SetReadDeadline(time.Now().Add(wait))
	line, err := c.in.ReadString('\n')
	if err != nil {
		return line, err
	}
	line = strings.TrimSuffix(line, "\n")
	if err := c.Rig.See(line); err != nil {
		return line, err
	}
	return line, nil
}

// Line reads a line that must come.
func (c *Client) Line() string {
	c.t.Helper()
	line, err := c.Next(patience)
	if err != nil {
		c.t.Fatalf("a line was due: %v", err)
	}
	return line
}

// Expect reads a line that must match a pattern, see Match.
func (c *Client) Expect(pattern string) map[string]string {
	c.t.Helper()
	line := c.Line()
	vars, err := Match(pattern, line)
	if err != nil {
		c.t.Fatal(err)
	}
	return vars
}

// Ask sends a line and expects the answer.
func (c *Client) Ask(line, pattern string) map[string]string {
	c.t.Helper()
	c.Send(line)
	return c.Expect(pattern)
}

// Silent fails the test if a line comes within a moment.
func (c *Client) Silent(moment time.Duration) {
	c.t.Helper()
	line, err := c.Next(moment)
	if err == nil {
		c.t.Fatalf("unexpected line %s", line)
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.t.Fatalf("connection: %v", err)
	}
}

// Closed reads until the connection ends, which it must, and returns the lines before that.
func (c *Client) Closed() []string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.Next(patience)
		if err == nil {
			lines = append(lines, line)
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			c.t.Fatalf("the connection was to end, it sent %q", lines)
		}
		return lines
	}
}

// Open subscribes and authorizes, and reads up to the first job.
func (c *Client) Open(user string) {
	c.t.Helper()
	c.User = user
	c.Ask(`{"id":1,"method":"mining.subscribe","params":["test/1"]}`,
		`{"id":1,"result":[[["mining.set_difficulty","<hex8>"],["mining.notify","<hex32>"]],"<hex8>",8],"error":null}`)
	c.Ask(fmt.Sprintf(`{"id":2,"method":"mining.authorize","params":[%q,"x"]}`, user), `{"id":2,"result":true,"error":null}`)
	c.Expect(SetDifficulty)
	c.Expect(Notify)
}

// Patterns of what the server pushes.
const (
	SetDifficulty = `{"id":null,"method":"mining.set_difficulty","params":[<difficulty:number>]}`
	Notify        = `{"id":null,"method":"mining.notify","params":["<job:hex8>","<hex64>","<hex>","<hex>",[<hashes>],"<hex8>","<hex8>","<ntime:hex8>",<clean:word>]}`
)

// Find finds another share for a job.
func (c *Client) Find(j *Job) Share {
	c.t.Helper()
	c.next++
	s, err := j.Find(c.Rig.Extranonce1, fmt.Sprintf("%016x", c.next), 0, 0, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// Found is Find for goroutines that may not fail the test.
func (c *Client) Found() (Share, error) {
	c.next++
	return c.Rig.Job.Find(c.Rig.Extranonce1, fmt.Sprintf("%016x", c.next), 0, 0, nil)
}

// Accepted sends a share's line and reads, past jobs, the answer with its id, which must be true.
func (c *Client) Accepted(line string, id int) error {
	c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return fmt.Errorf("send a share: %w", err)
	}
	for {
		got, err := c.Next(patience)
		if err != nil {
			return fmt.Errorf("answer to a share: %w", err)
		}
		switch {
		case strings.HasPrefix(got, fmt.Sprintf(`{"id":%d,"result":true,`, id)):
			return nil
		case strings.HasPrefix(got, fmt.Sprintf(`{"id":%d,`, id)):
			return fmt.Errorf("answer to a share: %s", got)
		}
	}
}

// SubmitLine is the request for a share and its id.
func (c *Client) SubmitLine(s Share) (line string, id int) {
	c.id++
	return fmt.Sprintf(`{"id":%d,"method":"mining.submit","params":[%q,%q,%q,%q,%q]}`,
		c.id, c.User, s.Job, s.Extranonce2, s.NTime, s.Nonce), c.id
}
