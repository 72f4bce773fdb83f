package stratum

import "github.com/adit-pool/adit/pool"

// outbox is the replies of one connection in the order of their requests. Some are held: which of two
// texts they become is known when a commit is done.
type outbox struct {
	buf    []byte // replies not yet taken; of a held one both texts, the good one first
	held   []held
	queued uint64 // bytes ever put into buf
	taken  uint64 // bytes ever taken out of buf

	failed [][16]byte // shares whose commit failed, told since the last look
}

// held is one reply that waits. Offsets are into buf.
type held struct {
	commit          *pool.Commit
	hash            [16]byte // of the share
	start, ok, fail int      // good text buf[start:ok], bad text buf[ok:fail]
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
// channel, or nil when nothing is held.
func (o *outbox) take(dst []byte) ([]byte, <-chan struct{}) {
	at, n := 0, 0
	var wait <-chan struct{}
	for _, h := range o.held {
		select {
		case <-h.commit.Done():
		default:
			wait = h.commit.Done()
		}
		dst = append(dst, o.buf[at:h.start]...)
		at = h.start
		if wait != nil {
			break
		}
		if h.commit.Err() == nil {
			dst = append(dst, o.buf[h.start:h.ok]...)
		} else {
			dst = append(dst, o.buf[h.ok:h.fail]...)
			o.failed = append(o.failed, h.hash)
		}
		at = h.fail
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
		h.start, h.ok, h.fail = h.start-at, h.ok-at, h.fail-at
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
