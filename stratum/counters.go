package stratum

import (
	"sync/atomic"

	"github.com/adit-pool/adit/pool"
)

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
	CloseRefused          // too many refused shares or logins with no accepted share between them
	CloseBanned           // see Bans
	CloseNoProxy          // a trusted proxy that did not say for whom it speaks
	CloseNoTLS            // no TLS where it is wanted, or none that works
	CloseEvicted          // it was not authorized yet, and another wanted its place
	CloseCrash            // a bug of ours
	CloseMoved            // it must connect again for another extranonce1
	CloseMemory           // all that may be held is held, and it held much, or came last
	numCloses
)

// fault reports whether it was the peer's own fault, and more than bad luck.
func (c Close) fault() bool { return c == CloseMalformed || c == CloseLongLine || c == CloseRefused }

// String is the reason's name for counters and logs.
func (c Close) String() string {
	return [...]string{"none", "peer", "handshake-timeout", "idle-timeout", "slow-line", "long-line",
		"malformed", "slow-reader", "no-session", "full", "per-ip", "drain", "refused", "banned", "no-proxy", "no-tls",
		"evicted", "crash", "moved", "memory"}[c]
}

// counters are written by many goroutines.
type counters struct {
	accepted  atomic.Uint64
	closed    [numCloses]atomic.Uint64
	messages  atomic.Uint64
	malformed atomic.Uint64
	throttled atomic.Uint64
	jobs      atomic.Uint64
	resumed   atomic.Uint64
	crowded   atomic.Uint64
	queued    atomic.Uint64
	strikes   [numStrikes]atomic.Uint64
	jobTimes  pool.Durations
}

// Strike is a thing that a connection may do some times, and not for ever.
type Strike uint8

// The strikes.
const (
	StrikeLine  Strike = iota // a message that cannot be read
	StrikeShare               // a refused submission, but for a job that is gone
	StrikeLogin               // a refused login
	numStrikes
)

// String is the strike's name for counters.
func (s Strike) String() string { return [...]string{"line", "share", "login"}[s] }

// Stats are a server's counters since its start.
type Stats struct {
	Connections int               // open now
	Accepted    uint64            // connections, with those refused at once
	Closed      map[string]uint64 // by reason, those above zero
	Messages    uint64
	Malformed   uint64
	Throttled   uint64 // times a connection was made to wait
	Queued      uint64 // times a message without work to show waited for its turn
	Jobs        uint64 // written
	Resumed     uint64 // sessions taken up again
	Crowded     uint64 // sessions that had to forget what they did, for memory
	Held        int64  // bytes that this pool's connections and kept sessions are counted as
	Strikes     map[string]uint64
}

// JobTimes are how long new jobs took from when they were made until they were written for a connection that
// had another.
func (s *Server) JobTimes() *pool.Durations { return &s.counters.jobTimes }

// Stats reads the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	st := Stats{
		Connections: n, Accepted: s.counters.accepted.Load(), Closed: map[string]uint64{},
		Messages: s.counters.messages.Load(), Malformed: s.counters.malformed.Load(),
		Throttled: s.counters.throttled.Load(), Jobs: s.counters.jobs.Load(), Queued: s.counters.queued.Load(),
		Resumed: s.counters.resumed.Load(), Crowded: s.counters.crowded.Load(), Held: s.memory.Held(), Strikes: map[string]uint64{},
	}
	for k := range numStrikes {
		if v := s.counters.strikes[k].Load(); v > 0 {
			st.Strikes[k.String()] = v
		}
	}
	for r := ClosePeer; r < numCloses; r++ {
		if v := s.counters.closed[r].Load(); v > 0 {
			st.Closed[r.String()] = v
		}
	}
	return st
}
