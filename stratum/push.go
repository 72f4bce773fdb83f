package stratum

import (
	"math/rand/v2"
	"slices"
	"time"
)

// ShowMessage sends a text to every miner that has work. Much firmware does not show it.
func (s *Server) ShowMessage(text string) {
	text = printableTo([]byte(text), maxMessage)
	for _, c := range s.snapshot(nil) {
		c.push(func(dst []byte) []byte { return s.opts.Dialect.AppendMessage(c, dst, text) })
	}
}

// maxMessage is the longest text that is shown: small displays take 256 bytes.
const maxMessage = 256

// SetVersionMask changes which bits of the version miners may roll, 0 for none. Who negotiated is told and
// gets a new job; shares of jobs given out before may use the mask of then. The pool's jobs must have all
// these bits clear.
func (s *Server) SetVersionMask(mask uint32) {
	s.versionMask.Store(mask)
	for _, c := range s.snapshot(nil) {
		c.push(func(dst []byte) []byte {
			was := c.session.VersionMask
			c.session.VersionMask = mask
			if c.session.VersionWish != 0 {
				c.session.VersionMask &= c.session.VersionWish
			}
			if c.session.VersionWish == 0 || c.session.VersionMask == was {
				return dst
			}
			c.renew = true
			return s.opts.Dialect.AppendVersionMask(c, dst, c.session.VersionMask)
		})
	}
}

// push puts what appends into the outbox of a connection that has work.
func (c *Conn) push(appends func(dst []byte) []byte) {
	defer c.caught()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready() && !c.readDone && len(c.session.Issued) > 0 {
		c.out.put(appends(c.out.buf))
		c.poke()
	}
}

// farewell ends every connection: all at once, or each after a part of Options.Reconnect with the advice
// to connect again, so that those who listen next are not overrun.
func (s *Server) farewell() {
	conns := s.snapshot(nil)
	rand.Shuffle(len(conns), func(i, j int) { conns[i], conns[j] = conns[j], conns[i] })
	if s.opts.Reconnect <= 0 || len(conns) == 0 {
		for _, c := range conns {
			c.drain()
		}
		return
	}
	begin := time.Now()
	at := make([]time.Duration, len(conns))
	for i := range at {
		at[i] = rand.N(s.opts.Reconnect)
	}
	slices.Sort(at)
	for i, c := range conns {
		if wait := time.Until(begin.Add(at[i])); wait > 0 {
			select {
			case <-c.broken:
			case <-time.After(wait):
			}
		}
		c.push(func(dst []byte) []byte { return s.opts.Dialect.AppendReconnect(c, dst) })
		c.drain()
	}
}
