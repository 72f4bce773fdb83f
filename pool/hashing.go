package pool

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// staleGrace is how long after a new tip a dear proof of work of the old one is still computed: it may
	// be a block.
	staleGrace = 5 * time.Second
	// maxMisses is how many hashes in a row a session may have computed for nothing before it is put among
	// those that share what is left over.
	maxMisses = 16
	// maxWaiting is how many sessions of that kind may wait. At scrypt's cost it is half a second.
	maxWaiting = 64
	// missPart is the part of one processor that all of them together get: one in missPart.
	missPart = 32
	// maxPause bounds the time between two of their hashes on a machine that is slow for another reason.
	maxPause = 50 * time.Millisecond
)

// hashing computes proofs of work that cost much. Each session waits for at most one at a time, and turns
// are in the order of asking, so that every session gets as much as any other, however much it sends.
type hashing struct {
	// Static.
	pow   func(*[80]byte) Hash
	slots chan struct{} // filled by who computes; as many as processors

	waiting atomic.Int32 // missers that wait or compute
	misser  chan struct{}
	next    time.Time // guarded by misser, a lock with an orderly queue: when the next of them may begin
}

func newHashing(pow func(*[80]byte) Hash) *hashing {
	return &hashing{pow: pow, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), misser: make(chan struct{}, 1)}
}

// hash waits for a turn and computes. A misser, whose hashes met no target of late, has its turns one at a
// time with all the others of its kind, on a small part of one processor; busy is that too many of them wait.
func (h *hashing) hash(header *[80]byte, misser bool) (pow Hash, busy bool) {
	if !misser {
		pow, _ = h.compute(header)
		return pow, false
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > maxWaiting {
		return Hash{}, true
	}
	h.misser <- struct{}{}
	defer func() { <-h.misser }()
	time.Sleep(time.Until(h.next))
	pow, took := h.compute(header)
	h.next = time.Now().Add(min((missPart-1)*took, maxPause))
	return pow, false
}

func (h *hashing) compute(header *[80]byte) (Hash, time.Duration) {
	h.slots <- struct{}{}
	defer func() { <-h.slots }()
	began := time.Now()
	pow := h.pow(header)
	return pow, time.Since(began)
}
