package stratum

import (
	"net"
	"time"

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

// Exchange handles whole messages without waiting for their turn and returns what the writer would send after it, valid until the next call.
func (t *ConnForTest) Exchange(msg []byte) []byte {
	for len(msg) > 0 {
		used, _, _, _ := t.c.handle(msg)
		msg = msg[used:]
	}
	t.buf, _, _, _ = t.c.next(t.buf[:0])
	return t.buf
}

// RememberForTest notes a worker's difficulty, as the end of its connection does.
func RememberForTest(s *Server, name string, d pool.Difficulty) {
	s.memory.remembered.put(workerID{name: name}, d)
}

// RememberedForTest is how many are kept.
func RememberedForTest(s *Server) (n int) {
	s.memory.remembered.each(func(workerID, pool.Difficulty) bool { n++; return true })
	return n
}

// CostConnForTest is what a connection without anything is counted as.
const CostConnForTest = costConn

// SeeForTest makes the session of a user remember n shares more.
func SeeForTest(s *Server, user string, n int) {
	for _, c := range s.snapshot(nil) {
		c.mu.Lock()
		if c.session != nil && len(c.session.Workers) > 0 && c.session.Workers[0].User == user {
			salt := c.session.Issued[0].Salt
			for i := range n {
				c.session.Seen[[16]byte{byte(i), byte(i >> 8), 1}] = salt
			}
		}
		c.mu.Unlock()
	}
}

// CloseGateForTest lets nobody through the gate for a day.
func CloseGateForTest(s *Server) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	s.gate.next = time.Now().Add(24 * time.Hour)
}
