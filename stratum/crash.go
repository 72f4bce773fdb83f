package stratum

import (
	"runtime/debug"

	"github.com/adit-pool/adit/pool"
)

// caught, deferred, keeps a panic from going beyond its connection: the stack goes to the log, the
// connection ends.
func (c *Conn) caught() {
	if p := recover(); p != nil {
		c.crashed(p)
	}
}

// written is caught for the writer, and tells its end unless it is only idle.
func (c *Conn) written(idle *bool) {
	p := recover()
	if *idle {
		return
	}
	c.writer.Store(writerOver)
	close(c.broken)
	if p != nil {
		c.crashed(p)
	}
}

func (c *Conn) crashed(p any) {
	c.srv.log.Error().Interface("panic", p).Str("remote", c.remoteText()).Bytes("stack", debug.Stack()).
		Str(pool.EventField, pool.EventStratumPanic).Msg("a connection was ended by a bug; please report it")
	c.end(CloseCrash)
	c.raw.Close()
}
