package dashboard

import (
	"io"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/rs/zerolog"
)

// Options configure a [Server].
type Options struct {
	Pools     []view.PoolInfo
	Version   string
	Embedded  bool  // the store is in this process and its statistics began with it: pages say so
	NoDoc     error // what Store.Doc returns, by errors.Is, for a document that is not there
	BadCursor error // what Store.Docs returns, by errors.Is, for a place that it never gave
	// Live is nil when no edge runs in this process; ok is false for a pool that has none here.
	Live func(poolID string) (live view.Live, ok bool)
	// MaxJobAge is the age from which a job counts as stale in readyz; 0 is five minutes.
	MaxJobAge time.Duration
	// PerMinute is how many requests one client may send, 0 is 1200, below 0 any number.
	PerMinute int
	// Tick is the time between two events of a live stream; 0 is two seconds.
	Tick time.Duration
	// Metrics writes what other parts of the process measure, in the Prometheus text format; nil: nothing.
	Metrics func(io.Writer)
	Log     zerolog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}
