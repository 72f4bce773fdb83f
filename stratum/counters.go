package stratum

import "sync/atomic"

// Close says why a connection ended or was not taken.
type Close uint8

// The reasons; CloseNone is the zero value and never counted.
const (
	CloseNone       Close = iota
	ClosePeer             // the miner closed, or the network broke
	CloseHandshake        // not subscribed and authorized in time
	CloseIdle             // no message for long
	CloseSlowLine         // a message that did not come to its end
	CloseLongLine         // a message above the limit
	CloseMalformed        // too many unreadable messages, or one that ends it at once
	CloseSlowReader       // it did not take what was written
	CloseNoSession        // the pool could not start a session
	CloseFull             // connections of this listener are used up
	ClosePerIP            // connections of this address are used up
	CloseDrain            // the server ended
	numCloses
)

// String is the reason's name for counters and logs.
func (c Close) String() string {
	return [...]string{"none", "peer", "handshake-timeout", "idle-timeout", "slow-line", "long-line",
		"malformed", "slow-reader", "no-session", "full", "per-ip", "drain"}[c]
}

// counters are written by many goroutines.
type counters struct {
	accepted  atomic.Uint64
	closed    [numCloses]atomic.Uint64
	messages  atomic.Uint64
	malformed atomic.Uint64
	throttled atomic.Uint64
	jobs      atomic.Uint64
}

// Stats are a server's counters since its start.
type Stats struct {
	Connections int               // open now
	Accepted    uint64            // connections, with those refused at once
	Closed      map[string]uint64 // by reason, those above zero
	Messages    uint64
	Malformed   uint64
	Throttled   uint64 // times a connection was made to wait
	Jobs        uint64 // written
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	st := Stats{
		Connections: n, Accepted: s.counters.accepted.Load(), Closed: map[string]uint64{},
		Messages: s.counters.messages.Load(), Malformed: s.counters.malformed.Load(),
		Throttled: s.counters.throttled.Load(), Jobs: s.counters.jobs.Load(),
	}
	for r := ClosePeer; r < numCloses; r++ {
		if v := s.counters.closed[r].Load(); v > 0 {
			st.Closed[r.String()] = v
		}
	}
	return st
}
