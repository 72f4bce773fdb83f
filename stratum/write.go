package stratum

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/adit-pool/adit/pool"
)

// write sends replies and jobs. It ends when nothing is left to say for now, and for good when the reader has
// ended or the peer takes nothing.
func (c *Conn) write() {
	idle := false
	defer c.written(&idle)
	s := c.srv
	var end <-chan time.Time // when to give up on replies that are still held
	for {
		c.pending.Store(false)
		buf := s.buffers.Get().(*[]byte)
		out, wait, job, done := c.next((*buf)[:0])
		if job && !c.working {
			c.working = true
			s.works(c)
		}
		var err error
		if len(out) > 0 {
			begin := time.Now()
			c.nc.SetWriteDeadline(begin.Add(s.opts.Write))
			_, err = c.nc.Write(out)
			if c.idle.Load() >= idleRun {
				s.gate.spend(time.Since(begin))
			}
		}
		wrote := len(out) > 0
		*buf = out
		s.buffers.Put(buf)
		if err != nil {
			reason := ClosePeer
			var timeout net.Error
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
				reason = CloseSlowReader
			}
			c.end(reason)
			c.raw.Close() // ends the reader
			return
		}
		if wrote {
			select {
			case c.room <- struct{}{}:
			default:
			}
			continue
		}
		if done {
			if wait == nil {
				return
			}
			if end == nil {
				t := time.NewTimer(s.opts.Write)
				defer t.Stop()
				end = t.C
			}
		}
		if wait == nil {
			c.writer.Store(writerIdle)
			if !c.pending.Load() || !c.writer.CompareAndSwap(writerIdle, writerRunning) {
				idle = true
				return
			}
			continue
		}
		select {
		case <-c.wake:
		case <-wait:
		case <-end:
			return
		}
	}
}

// next appends what may be sent now: replies up to the first that is still held, then a job if one is due.
// wait is the held reply's commit; done means that the reader has ended.
func (c *Conn) next(dst []byte) (out []byte, wait <-chan struct{}, issued, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dst, wait = c.out.take(dst, c)
	if c.session != nil {
		c.out.forget(c.session)
	}
	defer c.weigh()
	if c.readDone || c.reason != CloseNone || !c.ready() || !c.out.passed(c.after) {
		return dst, wait, false, c.readDone
	}
	offered := c.offered.Swap(false)
	if !offered && !c.renew {
		return dst, wait, false, false
	}
	replaces := offered && !c.renew && len(c.session.Issued) > 0 // for no other reason than that it is new
	c.renew = false
	now := time.Now()
	is, job, err := c.srv.opts.Pool.Issue(c.session, now)
	if errors.Is(err, pool.ErrMoved) {
		c.reason = CloseMoved
		c.drain()
		return c.srv.opts.Dialect.AppendReconnect(c, dst), wait, false, false
	}
	if err != nil {
		if !errors.Is(err, pool.ErrNoJob) { // with no job yet, the first one is offered to all
			c.srv.seldom.Warn().Err(err).Str("remote", c.remoteText()).Msg("job not issued")
		}
		return dst, wait, false, false
	}
	c.srv.counters.jobs.Add(1)
	if replaces {
		c.srv.counters.jobTimes.Observe(now.Sub(job.Created))
	}
	return c.srv.opts.Dialect.AppendJob(c, dst, is, job), wait, true, false
}

// appendRefusal is the dialect's.
func (c *Conn) appendRefusal(dst, reply []byte, r pool.Reject) []byte {
	return c.srv.opts.Dialect.AppendRefusal(c, dst, reply, r)
}
