package worker

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// maxLine bounds a line from the pool: room for a coinbase of 64 KB in hex.
const maxLine = 160 << 10

// endpoint is where a pool listens.
type endpoint struct {
	host string
	port string
	tls  *tls.Config // nil = plain TCP
}

func (e endpoint) address() string { return net.JoinHostPort(e.host, e.port) }

// parsePool reads stratum+tcp://host:port, or stratum+ssl:// and stratum+tls://
// for TLS; config is the TLS configuration or nil.
func parsePool(s string, config *tls.Config) (endpoint, error) {
	const form = "want stratum+tcp://host:port or stratum+ssl://host:port"
	u, err := url.Parse(s)
	if err != nil {
		return endpoint{}, fmt.Errorf("pool address %q: %w; %s", s, err, form)
	}
	e := endpoint{host: u.Hostname(), port: u.Port()}
	switch u.Scheme {
	case "stratum+tcp":
	case "stratum+ssl", "stratum+tls":
		e.tls = &tls.Config{}
		if config != nil {
			e.tls = config.Clone()
		}
		if e.tls.ServerName == "" {
			e.tls.ServerName = e.host
		}
	default:
		return endpoint{}, fmt.Errorf("pool address %q: unknown scheme; %s", s, form)
	}
	if n, err := strconv.ParseUint(e.port, 10, 16); err != nil || n == 0 || e.host == "" {
		return endpoint{}, fmt.Errorf("pool address %q has no host and port; %s", s, form)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return endpoint{}, fmt.Errorf("pool address %q has more than host and port; %s", s, form)
	}
	return e, nil
}

// client is one connection: it turns lines into messages and back.
type client struct {
	conn     net.Conn
	timing   timing
	messages chan message  // closed by read at its end
	quit     chan struct{} // closed by close
	err      error         // why read ended; set before messages is closed
}

// dial connects and starts the reading goroutine, which close waits for.
func dial(ctx context.Context, e endpoint, t timing) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, t.dial)
	defer cancel()
	var conn net.Conn
	var err error
	if e.tls != nil {
		conn, err = (&tls.Dialer{Config: e.tls}).DialContext(ctx, "tcp", e.address())
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", e.address())
	}
	if err != nil {
		return nil, fmt.Errorf("connect to pool: %w", err)
	}
	c := &client{conn: conn, timing: t, messages: make(chan message, 8), quit: make(chan struct{})}
	go c.read()
	return c, nil
}

// read ends when the connection does.
func (c *client) read() {
	defer close(c.messages)
	lines := bufio.NewScanner(deadlined{c.conn, c.timing.silence})
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		m, err := parseMessage(lines.Bytes())
		if err != nil {
			m = message{bad: err}
		}
		select {
		case c.messages <- m:
		case <-c.quit:
			return
		}
	}
	switch c.err = lines.Err(); {
	case c.err == nil:
		c.err = errors.New("the pool closed the connection")
	case errors.Is(c.err, bufio.ErrTooLong):
		c.err = fmt.Errorf("read from pool: a line longer than %d bytes", maxLine)
	default:
		c.err = fmt.Errorf("read from pool: %w", c.err)
	}
}

// write sends one line.
func (c *client) write(line []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timing.write)); err != nil {
		return fmt.Errorf("write to pool: %w", err)
	}
	if _, err := c.conn.Write(line); err != nil {
		return fmt.Errorf("write to pool: %w", err)
	}
	return nil
}

// close ends the connection and waits for read.
func (c *client) close() {
	close(c.quit)
	_ = c.conn.Close() // whatever the pool had not sent by now is lost anyway
	for range c.messages {
	}
}

// deadlined gives each Read its own deadline.
type deadlined struct {
	conn    net.Conn
	timeout time.Duration
}

func (d deadlined) Read(p []byte) (int, error) {
	if err := d.conn.SetReadDeadline(time.Now().Add(d.timeout)); err != nil {
		return 0, err
	}
	return d.conn.Read(p)
}

var _ io.Reader = deadlined{}
