package stratum

import "net"

// ConnForTest is a connection without its goroutines, so that what they call can be measured.
type ConnForTest struct {
	c   *Conn
	buf []byte
}

func NewConnForTest(s *Server, nc net.Conn) *ConnForTest {
	return &ConnForTest{c: newConn(s, nc), buf: make([]byte, 0, 1<<16)}
}

// Exchange handles one message and returns what the writer would send after it, valid until the next call.
func (t *ConnForTest) Exchange(msg []byte) []byte {
	t.c.handle(msg)
	t.buf, _, _, _ = t.c.next(t.buf[:0])
	return t.buf
}
