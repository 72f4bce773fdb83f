package view

import (
	"time"

	"github.com/adit-pool/adit/pool"
)

// A worker's states.
const (
	WorkerOK      = "ok"      // as usual
	WorkerLow     = "low"     // under half of what is usual
	WorkerOffline = "offline" // no share for ten minutes
)

const quiet = 10 * time.Minute

// WorkerStatus says how a worker does.
func WorkerStatus(w *pool.WorkerView, now time.Time) string {
	switch {
	case now.Sub(time.UnixMilli(w.LastShare)) > quiet:
		return WorkerOffline
	case w.Usual > 0 && w.Hashrate < w.Usual/2:
		return WorkerLow
	}
	return WorkerOK
}

// Mean is the mean hashrate over the newest points that lie within span before now; a stretch without a
// point counts as none. Since a history may be younger than span, the time since its first point counts.
func Mean(points []pool.HistoryPoint, step, span time.Duration, now time.Time) float64 {
	if len(points) == 0 {
		return 0
	}
	begin := max(now.Add(-span).Unix(), points[0].Time)
	var work float64
	for _, h := range points {
		end := min(h.Time+int64(step/time.Second), now.Unix())
		if part := end - max(h.Time, begin); part > 0 {
			work += h.Hashrate * float64(part)
		}
	}
	return work / float64(max(now.Unix()-begin, 1))
}

// Worker is the account's worker of a name, nil when there is none.
func (a *Account) Worker(name string) *pool.WorkerView {
	for i := range a.View.Workers {
		if a.View.Workers[i].Name == name {
			return &a.View.Workers[i]
		}
	}
	return nil
}
