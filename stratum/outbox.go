package stratum

import "github.com/adit-pool/adit/pool"

// outbox is the replies of one connection in the order of their requests. Some are held: whether they stay as
// they are or become refusals is known when a commit is done.
type outbox struct {
	buf    []byte // replies not yet taken
	held   []held
	queued uint64 // bytes ever put into buf
	taken  uint64 // bytes ever taken out of buf

	failed [][16]byte // shares whose commit failed, told since the last look
}

// held is one reply to a share, buf[start:end].
type held struct {
	commit     *pool.Commit // nil: there is nothing to wait for
	hash       [16]byte     // of the share
	start, end int
	reject     pool.Reject // what it was judged
}

// refuser makes the reply to a refused share from that to an accepted one.
type refuser interface {
	appendRefusal(dst, reply []byte, r pool.Reject) []byte
}

// mark is the place after all that was put in so far, for passed.
func (o *outbox) mark() uint64 { return o.queued }

// passed reports whether all that was put in before mark has been taken.
func (o *outbox) passed(mark uint64) bool { return o.taken >= mark }

func (o *outbox) empty() bool { return len(o.buf) == 0 }

// put replaces buf by itself with replies appended.
func (o *outbox) put(buf []byte) {
	o.queued += uint64(len(buf) - len(o.buf))
	o.buf = buf
}

// settle makes s forget a share whose commit has failed; false when its fate is not known yet.
func (h *held) settle(s *pool.Session) bool {
	if h.commit == nil {
		return true
	}
	select {
	case <-h.commit.Done():
		if h.commit.Err() != nil {
			s.Forget(h.hash)
		}
		return true
	default:
		return false
	}
}

// settle looks at the fate of all that is held still, and returns what has none yet.
func (o *outbox) settle(s *pool.Session) (open []held) {
	for i := range o.held {
		if !o.held[i].settle(s) {
			open = append(open, o.held[i])
		}
	}
	return open
}

// forget makes s forget the shares whose commit failed.
func (o *outbox) forget(s *pool.Session) {
	for _, hash := range o.failed {
		s.Forget(hash)
	}
	o.failed = nil
}

// take appends to dst the replies up to the first one whose commit is not done, and returns that commit's
// channel, or nil when nothing is held. Refusals are by r.
func (o *outbox) take(dst []byte, r refuser) ([]byte, <-chan struct{}) {
	at, n := 0, 0
	var wait <-chan struct{}
	var done *pool.Commit // the last one seen to be
	for i := range o.held {
		h := &o.held[i]
		if h.commit != nil && h.commit != done {
			select {
			case <-h.commit.Done():
				done = h.commit
			default:
				wait = h.commit.Done()
			}
		}
		if wait != nil {
			dst = append(dst, o.buf[at:h.start]...)
			at = h.start
			break
		}
		if h.commit != nil && h.commit.Err() != nil {
			h.reject = pool.RejectInternal
			o.failed = append(o.failed, h.hash)
		}
		if h.reject != pool.Accepted {
			dst = append(dst, o.buf[at:h.start]...)
			dst = r.appendRefusal(dst, o.buf[h.start:h.end], h.reject)
			at = h.end
		}
		n++
	}
	if wait == nil {
		dst = append(dst, o.buf[at:]...)
		at = len(o.buf)
	}
	if at == 0 {
		return dst, wait
	}
	o.taken += uint64(at)
	o.buf = o.buf[:copy(o.buf, o.buf[at:])]
	clear(o.held[:n])
	o.held = o.held[:copy(o.held, o.held[n:])]
	for i := range o.held {
		h := &o.held[i]
		h.start, h.end = h.start-at, h.end-at
	}
	if len(o.buf) == 0 && cap(o.buf) > outboxKeep {
		o.buf = nil // an idle connection holds no buffer
	}
	return dst, wait
}

const (
	// outboxKeep is the largest buffer kept by a connection with nothing to say.
	outboxKeep = 512
	// outboxLimit is how many bytes of replies may wait before the connection is read no further.
	outboxLimit = 64 << 10
)
