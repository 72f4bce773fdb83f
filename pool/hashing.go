package pool

import (
	"runtime"
	"sync"
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
	// maxTogether is how many hashes are computed together at most: as many as the widest kernel has lanes.
	maxTogether = 24
	// maxPause bounds the time between two of their hashes on a machine that is slow for another reason.
	maxPause = 50 * time.Millisecond
)

// hashing computes proofs of work that cost much. Each session waits for at most one at a time, and turns
// are in the order of asking, so that every session gets as much as any other, however much it sends. What
// gathers while all places are taken is computed together, which costs less a piece.
type hashing struct {
	// Static.
	pow    func(headers [][80]byte, out []Hash)
	places int // as many as processors

	mu    sync.Mutex
	busy  int        // places taken; guarded by mu
	queue []*request // in the order of asking, empty while a place is free; guarded by mu

	waiting atomic.Int32 // missers that wait or compute
	misser  chan struct{}
	next    time.Time // guarded by misser, a lock with an orderly queue: when the next of them may begin
}

// request is a header to be hashed. Who asks gets a turn: nil when another has computed the hash, else
// the requests to compute, its own the first of them.
type request struct {
	header [80]byte
	pow    Hash
	took   time.Duration // its part of the time
	turn   chan []*request
}

func newHashing(pow func([][80]byte, []Hash)) *hashing {
	return &hashing{pow: pow, places: runtime.GOMAXPROCS(0), misser: make(chan struct{}, 1)}
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
	r := &request{header: *header, turn: make(chan []*request, 1)}
	together := h.enter(r)
	if together == nil {
		together = <-r.turn
	}
	if together != nil {
		h.together(together)
		h.leave()
	}
	return r.pow, r.took
}

// enter takes a place when one is free, else it queues r.
func (h *hashing) enter(r *request) []*request {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy < h.places {
		h.busy++
		return []*request{r}
	}
	h.queue = append(h.queue, r)
	return nil
}

// leave gives the place to the first in the queue, with a fair part of it.
func (h *hashing) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		h.busy--
		h.queue = nil
		return
	}
	n := min((len(h.queue)+h.places-1)/h.places, maxTogether)
	next := h.queue[:n:n]
	h.queue = h.queue[n:]
	next[0].turn <- next
}

func (h *hashing) together(requests []*request) {
	var headers [maxTogether][80]byte
	var out [maxTogether]Hash
	n := len(requests)
	for i, r := range requests {
		headers[i] = r.header
	}
	began := time.Now()
	h.pow(headers[:n], out[:n])
	part := time.Since(began) / time.Duration(n)
	for i, r := range requests {
		r.pow, r.took = out[i], part
		if i > 0 {
			r.turn <- nil
		}
	}
}
