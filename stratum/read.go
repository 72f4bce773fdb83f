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
			took, pause := 0, pause{}
			var why Close
			if took, ready, pause, why = c.handle(buf[used:n]); why != CloseNone {
				return why
			}
			if used += took; took > 0 {
				last, begun = c.now, time.Time{}
			}
			if pause.none() {
				break
			}
			if why = c.await(pause); why != CloseNone {
				return why
			}
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

// pause is why a message is not handled yet.
type pause struct {
	wait time.Duration // for its turn
	full bool          // the peer has not read what it was told
}

func (p pause) none() bool { return p == pause{} }

// turn says whether the next message must wait: a peer is read no faster than it may ask and than it listens.
// Caller holds mu.
func (c *Conn) turn() pause {
	if !c.paid {
		c.paid = true
		if wait := c.bucket.take(c.now); wait > 0 {
			c.srv.counters.throttled.Add(1)
			return pause{wait: wait + throttlePause}
		}
	}
	if c.turns == 0 && c.idle.Load() >= idleRun {
		c.turns = idleTurn
		if wait := c.srv.gate.reserve(c.now); wait >= idleGrain {
			c.srv.counters.queued.Add(1)
			return pause{wait: wait}
		}
	}
	return pause{full: len(c.out.buf) > outboxLimit}
}

// await waits until a message may be handled, or says why the connection ends meanwhile.
func (c *Conn) await(p pause) Close {
	if !p.full {
		if p.wait >= throttlePause {
			c.poke()
		}
		return c.pause(p.wait)
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

// handle gives the whole messages at the start of b to the dialect, up to one that must wait; shares among them
// are judged together.
func (c *Conn) handle(b []byte) (used int, ready bool, p pause, why Close) {
	s := c.srv
	idle := c.idle.Load() >= idleRun
	messages, proven := 0, false
	used, messages, ready, proven, p, why = c.messages(b)
	if messages == 0 {
		return used, ready, p, why
	}
	s.counters.messages.Add(uint64(messages))
	if idle {
		s.gate.took(time.Since(c.now) / time.Duration(messages))
	}
	if proven {
		s.opts.Bans.meet(origin(c.remote), true)
	}
	return used, ready, p, why
}

// messages does so under the connection's lock.
func (c *Conn) messages(b []byte) (used, messages int, ready, proven bool, p pause, why Close) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, was := c.srv.opts.Dialect, c.shares
	c.now = time.Now()
	for {
		size := d.Frame(b[used:])
		if size == 0 {
			break
		}
		if size > d.Limit(c.ready()) {
			why = CloseLongLine
			break
		}
		if p = c.turn(); !p.none() {
			break
		}
		c.paid = false
		if c.turns > 0 {
			c.turns--
		}
		why = c.message(b[used : used+size])
		used += size
		messages++
		if why != CloseNone {
			break
		}
	}
	c.judge()
	c.weigh()
	if why == CloseNone {
		why = c.reason
	}
	return used, messages, c.ready(), was < provenShares && c.shares >= provenShares, p, why
}

// message gives one message to the dialect. Caller holds mu.
func (c *Conn) message(msg []byte) Close {
	c.submitted, c.admitted = false, false
	if c.idle.Load() < idleRun {
		c.idle.Add(1)
	}
	out, outcome := c.srv.opts.Dialect.Message(c, c.out.buf, msg)
	c.out.put(out)
	if c.after == afterReplies {
		c.after = c.out.mark()
	}
	if !c.submitted && !c.admitted {
		c.bucket.charge(idleCost - 1)
	}
	switch outcome {
	case Malformed:
		c.srv.counters.malformed.Add(1)
		c.srv.counters.strikes[StrikeLine].Add(1)
		if c.malforms++; c.malforms >= c.srv.opts.Strikes {
			return CloseMalformed
		}
	case Hangup:
		if c.reason == CloseNone {
			c.srv.counters.malformed.Add(1)
			return CloseMalformed
		}
	}
	return c.reason
}
