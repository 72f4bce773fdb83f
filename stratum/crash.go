package stratum

import "runtime/debug"

// caught, deferred, keeps a panic from going beyond its connection: the stack goes to the log, the
// connection ends. With writer it is the writer that ends.
func (c *Conn) caught(writer bool) {
	p := recover()
	if writer {
		close(c.broken)
	}
	if p == nil {
		return
	}
	c.srv.log.Error().Interface("panic", p).Str("remote", c.remoteText()).Bytes("stack", debug.Stack()).
		Str("event", "stratum.panic").Msg("a connection was ended by a bug; please report it")
	c.end(CloseCrash)
	c.raw.Close()
}
