package pool

// SessionVersion is the format of [Session]; it goes up with every change of meaning.
const SessionVersion = 1

// Session is all the pool knows about one miner's connection: a plain value that can be written down
// and handed to another process. It is not safe for concurrent use; its connection's lock guards it.
type Session struct {
	Version     int
	Extranonce1 uint32 // never reused within an epoch
	Limits      Limits // of its listener
	Scheme      SchemeID
	Subscribed  bool
	Agent       string
	Workers     []Worker
	VersionMask uint32     // bits that its submissions may roll
	VersionWish uint32     // bits that it asked to roll (mining.configure), 0 when it did not
	Minimum     Difficulty // asked for by the miner (minimum-difficulty, md=), 0 when not
	Suggested   Difficulty // the miner's last suggestion, 0 when none
	Wanted      Difficulty // what the next job is to be issued at, before clamping
	Vardiff     Vardiff
	NextSalt    uint32
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

	VersionMask uint32 // the session's when it was issued
}

// Resume makes s go on where old ended: extranonce1, jobs, what was seen of them, mode and estimate. What
// this connection has said itself stays. old must not be used any more.
func (s *Session) Resume(old *Session) {
	s.Extranonce1, s.NextSalt = old.Extranonce1, old.NextSalt
	s.Issued, s.Seen = old.Issued, old.Seen
	s.Scheme, s.Vardiff = old.Scheme, old.Vardiff
	if s.Minimum == 0 {
		s.Minimum = old.Minimum
	}
	if s.Suggested == 0 {
		s.Suggested, s.Wanted = old.Suggested, old.Wanted
	}
}

// Limits are a listener's difficulty rules.
type Limits struct {
	Start, Min, Max Difficulty
	SharesPerMinute float64 // vardiff's aim
}
