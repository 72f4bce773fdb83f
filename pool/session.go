package pool

// SessionVersion is the format of [Session]; it goes up with every change of meaning.
const SessionVersion = 2

// Session is all the pool knows about one miner's connection: a plain value that can be written down
// and handed to another process. It is not safe for concurrent use; its connection's lock guards it.
type Session struct {
	Version     int
	Extranonce1 uint32 // never reused within a space
	Space       uint64 // in which it was numbered: what stands before it in coinbases
	Movable     bool   // the miner takes another extranonce1 (mining.set_extranonce)
	Limits      Limits // of its listener
	Scheme      SchemeID
	Subscribed  bool
	Agent       string
	Workers     []Worker
	VersionMask uint32     // bits that its submissions may roll
	VersionWish uint32     // bits that it asked to roll (mining.configure), 0 when it did not
	Minimum     Difficulty // asked for by the miner (minimum-difficulty, md=), 0 when not
	Least       Difficulty // what its kind of miner needs, 0 when nothing; counts where listener and network reach it
	MaxCoinbase int        // bytes of coinbase that its kind of miner can take, 0: any
	Suggested   Difficulty // the miner's last suggestion, 0 when none
	Wanted      Difficulty // what the next job is to be issued at, before clamping
	Vardiff     Vardiff
	NextSalt    uint32
	Crowded     bool                // the pool wants its memory back: the next job is clean and what was before it is forgotten
	Misses      uint32              // hashes in a row above the target that was issued with their job
	Issued      []Issued            // jobs it may submit for, oldest first
	Seen        map[[16]byte]uint32 // accepted header hashes and the salt of their issue
}

// Issued is a job as given to one session. Its difficulty never changes.
type Issued struct {
	Salt       uint32
	JobID      uint64
	Difficulty Difficulty
	Target     Target
	Work       Work // expected hashes of Target
	Clean      bool // the session must drop the jobs it had before

	Extranonce1 uint32 // the session's when it was issued
	VersionMask uint32 // the session's when it was issued
}

// Resume makes s go on where old ended: extranonce1 unless the pool has begun another space since, jobs,
// what was seen of them, mode and estimate. What this connection has said itself stays. old must not be used any more.
func (s *Session) Resume(old *Session) {
	if s.Space == old.Space {
		s.Extranonce1 = old.Extranonce1
	}
	s.NextSalt = old.NextSalt
	s.Issued, s.Seen = old.Issued, old.Seen
	s.Scheme, s.Vardiff = old.Scheme, old.Vardiff
	if s.Minimum == 0 {
		s.Minimum = old.Minimum
	}
	if s.Suggested == 0 {
		s.Suggested, s.Wanted = old.Suggested, old.Wanted
	}
}

// Assignable is the difficulty that a job of the given network difficulty is issued at.
func (s *Session) Assignable(network Difficulty) Difficulty {
	minimum := s.Minimum
	if s.Least > minimum && s.Least <= s.Limits.Max && s.Least <= network {
		minimum = s.Least
	}
	return s.Limits.Clamp(s.Wanted, minimum, network)
}

// crowded reports that the next job must be clean and leave nothing of before.
func (s *Session) crowded() bool { return s.Crowded || len(s.Seen) >= maxSeen }

// Forget makes a share that was accepted one that was never seen: its record failed and nothing of it was
// kept.
func (s *Session) Forget(hash [16]byte) { delete(s.Seen, hash) }

// Limits are a listener's difficulty rules.
type Limits struct {
	Start, Min, Max Difficulty
	SharesPerMinute float64 // vardiff's aim
}
