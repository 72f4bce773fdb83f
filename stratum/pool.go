package stratum

import (
	"time"

	"github.com/adit-pool/adit/pool"
)

// Pool is what the server needs of the rest: sessions, jobs, judgement. All methods may be called from
// many goroutines; those that take a Session are called with its connection's lock held and must not
// wait for a network or a disk; Submit may wait for its turn to compute a hash.
type Pool interface {
	Params() *pool.Params
	// NewSession starts the state of a connection; the error is a pool that can take no more.
	NewSession(pool.Limits) (*pool.Session, error)
	// EndSession says that the connection is gone: the session is not used any more.
	EndSession(*pool.Session)
	// Authorize checks a user name locally. The error's text is sent to the miner.
	Authorize(user, password string) (pool.Worker, error)
	// Issue freezes the session's wanted difficulty into a new issue of the current job.
	Issue(*pool.Session, time.Time) (pool.Issued, *pool.Job, error)
	// Submit judges shares that came together, in their order. An accepted one gets the commit that makes it
	// durable; it is acknowledged when that is done. The batch is not kept.
	Submit(*pool.Session, []pool.Judged, time.Time)
	// Rejected counts a submission that was refused before it could be judged; worker is -1 when unknown.
	Rejected(s *pool.Session, worker int, r pool.Reject)
	// Current is the newest job, nil before the first.
	Current() *pool.Job
	// JobChanged is closed when another job is current: after Current returns it, and after a call would
	// return the next channel.
	JobChanged() <-chan struct{}
}
