package stratum

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// preface is what stands before a connection's first message: the header of a trusted proxy, then TLS,
// which is known by its first byte.
func (c *Conn) preface() Close {
	o := &c.srv.opts
	if !c.proxied && o.TLS == nil {
		return CloseNone
	}
	c.raw.SetDeadline(c.opened.Add(o.Handshake))
	if c.stopping() { // after the deadline is set: drain's own may have been replaced by it
		return CloseDrain
	}
	var early []byte // read too far
	if c.proxied {
		source, rest, why := c.readProxyHeader()
		if why != CloseNone {
			return why
		}
		early = rest
		c.remote = c.real
		if source.IsValid() {
			c.remote = source
		}
		if why := c.srv.count(c); why != CloseNone {
			return why
		}
	}
	if o.TLS != nil {
		if len(early) == 0 {
			early = make([]byte, 1)
			if n, err := c.raw.Read(early); n == 0 {
				return c.whyNot(err)
			}
		}
		c.nc = &earlyConn{c.raw, early}
		const handshake = 0x16 // the content type of a record
		if early[0] != handshake {
			if o.TLSOnly {
				return CloseNoTLS
			}
		} else {
			t := tls.Server(c.nc, o.TLS)
			if err := t.HandshakeContext(context.Background()); err != nil {
				if why := c.whyNot(err); why != ClosePeer {
					return why
				}
				return CloseNoTLS
			}
			c.nc = t
			c.mu.Lock()
			c.encrypted = true
			c.mu.Unlock()
		}
	} else if len(early) > 0 {
		c.nc = &earlyConn{c.raw, early}
	}
	c.raw.SetDeadline(time.Time{})
	return CloseNone
}

// readProxyHeader reads the header, which must come whole and first, and what came with it.
func (c *Conn) readProxyHeader() (source netip.AddrPort, rest []byte, why Close) {
	buf := make([]byte, 0, 256)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := c.raw.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		source, size, bad := parseProxyHeader(buf)
		switch {
		case bad == nil:
			return source, buf[size:], CloseNone
		case !errors.Is(bad, errProxyMore):
			return source, nil, CloseNoProxy
		case err != nil:
			return source, nil, c.whyNot(err)
		}
	}
}

// whyNot is the reason for an error of reading before the first message.
func (c *Conn) whyNot(err error) Close {
	var timeout net.Error
	switch {
	case c.stopping():
		return CloseDrain
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return CloseHandshake
	}
	return ClosePeer
}

// earlyConn gives what was read too far before the rest. It is read by one goroutine.
type earlyConn struct {
	net.Conn
	early []byte
}

// Read implements net.Conn.
func (e *earlyConn) Read(b []byte) (int, error) {
	if len(e.early) > 0 {
		n := copy(b, e.early)
		if e.early = e.early[n:]; len(e.early) == 0 {
			e.early = nil
		}
		return n, nil
	}
	return e.Conn.Read(b)
}
