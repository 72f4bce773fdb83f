package stratum

import (
	"net"

	"github.com/adit-pool/adit/pool"
)

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

// RememberForTest notes a worker's difficulty, as the end of its connection does.
func RememberForTest(s *Server, name string, d pool.Difficulty) {
	s.remembered.put(workerID{name: name}, d)
}

// RememberedForTest is how many are kept.
func RememberedForTest(s *Server) (n int) {
	s.remembered.each(func(workerID, pool.Difficulty) bool { n++; return true })
	return n
}
