package stratum

import (
	"sync"
	"time"
)

const (
	// idlePart is the part of one processor that messages of connections without work to show get together:
	// one in idlePart.
	idlePart = 3
	// idleTurn is how many messages of a connection go through together.
	idleTurn = 8
	// idleRun is how many messages without an accepted share make a connection one of those; a new one is.
	idleRun = 64
	// idleGrain is the shortest wait worth a timer.
	idleGrain = time.Millisecond
	// idleMost is the most that one message counts: longer it only waited.
	idleMost = time.Millisecond
)

// gate lets the messages of connections that have no work to show through one after the other, in the order
// of asking and no faster than their part of a processor, so that whatever they send, and however many they
// are, miners' shares find the others free. A connection's first idleTurn messages pass it: ten thousand rigs
// that come back after a restart log in at once, and a connection costs more to make than they do.
type gate struct {
	mu   sync.Mutex // guards all below
	next time.Time
	cost time.Duration // of a message, a moving average
}

// reserve takes the next turn, of idleTurn messages, and returns how long it is until then.
func (g *gate) reserve(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next.Before(now) {
		g.next = now
	}
	wait := g.next.Sub(now)
	g.next = g.next.Add(idlePart * idleTurn * g.cost)
	return wait
}

// took notes what a message cost.
func (g *gate) took(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cost += (min(d, idleMost) - g.cost) / 16
}

// spend takes from what is there for others: the time that answers took.
func (g *gate) spend(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = g.next.Add(idlePart * min(d, idleMost))
}

// pause waits, or says why the connection ends meanwhile.
func (c *Conn) pause(wait time.Duration) Close {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return CloseNone
	case <-c.stop:
		return CloseDrain
	case <-c.broken:
		return ClosePeer
	}
}
