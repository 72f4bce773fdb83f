package stratum

import (
	"errors"
	"net"
	"os"
	"time"
)

// throttlePause is how much longer than needed a connection above its rate waits, so that it is woken for
// several messages.
const throttlePause = 100 * time.Millisecond

// idleCost is what a message costs of the rate that is neither an accepted share nor another user's login.
const idleCost = 5

// readBuffer is the first size of a connection's read buffer; most messages fit. It is borrowed when something
// comes and given back when that is handled.
const readBuffer = 1024

// receive hands whole messages to the dialect until the connection ends or may be read no longer.
func (c *Conn) receive() Close {
	o := &c.srv.opts
	var (
		buf   []byte // none while nothing of a message is there
		n     int    // bytes in buf
		size  int    // of buf beyond what is borrowed
		ready bool
		last  = c.opened // when the last message was whole
		begun time.Time  // when the unfinished message in buf began
	)
	for {
		used := 0
		for {
			size := o.Dialect.Frame(buf[used:n])
			if size == 0 {
				break
			}
			if size > o.Dialect.Limit(ready) {
				return CloseLongLine
			}
			if why := c.await(); why != CloseNone {
				return why
			}
			var why Close
			if ready, why = c.handle(buf[used : used+size]); why != CloseNone {
				return why
			}
			used += size
			last, begun = c.now, time.Time{}
		}
		if used > 0 { // the replies to all that came together leave together
			c.poke()
		}
		n = copy(buf, buf[used:n])
		limit := o.Dialect.Limit(ready)
		switch {
		case n >= limit:
			return CloseLongLine
		case n == 0:
			c.release(buf)
			buf = nil
		case n == len(buf):
			buf = append(buf, make([]byte, min(len(buf), limit-len(buf)))...)
		}
		if grown := max(0, len(buf)-readBuffer); grown != size {
			size = grown
			c.mu.Lock()
			c.read = size
			c.weigh()
			c.mu.Unlock()
		}

		deadline, late := last.Add(o.Idle), CloseIdle
		if !ready {
			deadline, late = c.opened.Add(o.Handshake), CloseHandshake
		}
		if n > 0 {
			if begun.IsZero() {
				begun = time.Now()
			}
			if d := begun.Add(o.Line); d.Before(deadline) {
				deadline, late = d, CloseSlowLine
			}
		}
		c.nc.SetReadDeadline(deadline)
		if c.stopping() { // after the deadline is set: drain's own may have been replaced by it
			return CloseDrain
		}
		k, err := 0, error(nil)
		if buf == nil {
			buf, k, err = c.first()
		} else {
			k, err = c.nc.Read(buf[n:])
		}
		n += k
		if k > 0 || err == nil {
			continue
		}
		var timeout net.Error
		switch {
		case c.stopping():
			return CloseDrain
		case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
			return late
		}
		return ClosePeer
	}
}

// await lets the connection's rate and its unread replies slow it down: a peer is read no faster than it
// may ask and than it listens.
func (c *Conn) await() Close {
	if wait := c.bucket.take(time.Now()); wait > 0 {
		c.srv.counters.throttled.Add(1)
		c.poke()
		if why := c.pause(wait + throttlePause); why != CloseNone {
			return why
		}
	}
	if c.turns--; c.turns < 0 && c.idle.Load() >= idleRun {
		c.turns = idleTurn - 1
		if wait := c.srv.gate.reserve(time.Now()); wait >= idleGrain {
			c.srv.counters.queued.Add(1)
			if wait >= throttlePause {
				c.poke()
			}
			if why := c.pause(wait); why != CloseNone {
				return why
			}
		}
	}
	for {
		c.mu.Lock()
		full := len(c.out.buf) > outboxLimit
		c.mu.Unlock()
		if !full {
			return CloseNone
		}
		c.poke()
		select {
		case <-c.room:
		case <-c.stop:
			return CloseDrain
		case <-c.broken:
			return ClosePeer
		}
	}
}

// handle gives one message to the dialect.
func (c *Conn) handle(msg []byte) (ready bool, why Close) {
	s := c.srv
	s.counters.messages.Add(1)
	outcome, ready, accepted, proven, why := c.message(msg)
	if c.idle.Load() >= idleRun {
		s.gate.took(time.Since(c.now))
	} else {
		c.idle.Add(1)
	}
	if accepted {
		c.idle.Store(0)
	}
	if !accepted && !c.admitted {
		c.bucket.charge(idleCost - 1)
	}
	if proven {
		s.opts.Bans.meet(origin(c.remote), true)
	}
	switch {
	case outcome == Malformed:
		s.counters.malformed.Add(1)
		s.counters.strikes[StrikeLine].Add(1)
		if c.malforms++; c.malforms >= s.opts.Strikes {
			return ready, CloseMalformed
		}
	case outcome == Hangup && why == CloseNone:
		s.counters.malformed.Add(1)
		why = CloseMalformed
	case accepted:
		c.malforms = 0
	}
	return ready, why
}

// message does so under the connection's lock.
func (c *Conn) message(msg []byte) (outcome Outcome, ready, accepted, proven bool, why Close) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.shares
	c.now, c.accepted, c.admitted = time.Now(), false, false
	out, outcome := c.srv.opts.Dialect.Message(c, c.out.buf, msg)
	c.out.put(out)
	c.weigh()
	if c.after == afterReplies {
		c.after = c.out.mark()
	}
	return outcome, c.ready(), c.accepted, was < provenShares && c.shares >= provenShares, c.reason
}
