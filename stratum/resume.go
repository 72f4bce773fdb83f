package stratum

import (
	"container/list"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Ticket names the session of a connection for the time after it: random, so that nobody else can guess
// it, and good for one use.
type Ticket [16]byte

// String is 32 hex digits.
func (t Ticket) String() string { return hex.EncodeToString(t[:]) }

func newTicket() (t Ticket) {
	rand.Read(t[:]) // never fails
	return t
}

// parseTicket reads what a miner sends; an id that is not one of ours is the zero Ticket.
func parseTicket(b []byte) (t Ticket) {
	if len(b) != 2*len(t) {
		return Ticket{}
	}
	if _, err := hex.Decode(t[:], b); err != nil {
		return Ticket{}
	}
	return t
}

// maxResumable is about how many bytes of memory sessions without a connection may take.
const maxResumable = 64 << 20

// resumables keep the sessions of connections that have ended, for a while and within a bound: the oldest
// go first.
type resumables struct {
	keep time.Duration // static

	mu     sync.Mutex // guards all below
	byID   map[Ticket]*list.Element
	oldest *list.List // of *resumable
	bytes  int
}

type resumable struct {
	ticket  Ticket
	session *pool.Session
	account pool.AccountID
	open    []held // shares that may fail yet
	until   time.Time
	bytes   int
}

func newResumables(keep time.Duration) *resumables {
	return &resumables{keep: keep, byID: make(map[Ticket]*list.Element), oldest: list.New()}
}

// put keeps a session that nobody uses any more.
func (r *resumables) put(t Ticket, s *pool.Session, account pool.AccountID, open []held, now time.Time) {
	if r.keep < 0 {
		return
	}
	e := &resumable{t, s, account, open, now.Add(r.keep), 1024 + int(costOf(s))}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[t] = r.oldest.PushBack(e)
	r.bytes += e.bytes
	for f := r.oldest.Front(); f != nil; f = r.oldest.Front() {
		if r.bytes <= maxResumable && now.Before(f.Value.(*resumable).until) {
			break
		}
		r.remove(f)
	}
}

// size is how many bytes they take.
func (r *resumables) size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(r.bytes)
}

// shrink forgets the oldest until some bytes are free.
func (r *resumables) shrink(free int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for want := int64(r.bytes) - free; int64(r.bytes) > want; {
		f := r.oldest.Front()
		if f == nil {
			return
		}
		r.remove(f)
	}
}

// take gives the session of a ticket, once; nil when there is none. With an account it must be that one's.
func (r *resumables) take(t Ticket, account *pool.AccountID, now time.Time) *resumable {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.byID[t]
	if f == nil {
		return nil
	}
	e := f.Value.(*resumable)
	if account != nil && *account != e.account {
		return nil
	}
	r.remove(f)
	if !now.Before(e.until) {
		return nil
	}
	return e
}

// remove forgets an entry. Caller holds mu.
func (r *resumables) remove(f *list.Element) {
	e := r.oldest.Remove(f).(*resumable)
	delete(r.byID, e.ticket)
	r.bytes -= e.bytes
}
