// Package dashboard loads the web server of a running adit and measures it: what many live streams cost,
// how long pages take, and what all of it, with slow and hostile clients, costs the miners' shares. It
// knows nothing of the server but its address and, when told, its process.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/adit-pool/adit/bench/stratum"
)

// Options say what to do.
type Options struct {
	Address  string // host:port of the dashboard
	PIDs     []int  // the server's processes, for their CPU
	Streams  int
	Slow     int // slow clients and those with huge queries, of each kind
	For      time.Duration
	Users    []string // addresses whose pages are asked for, in turn
	Clients  int      // that ask for pages at once
	Requests int      // of each page
	Stratum  stratum.Options
	Pairs    int
	Progress func(string, ...any)
}

// Row is one figure: what was measured, and its unit written out.
type Row struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Aim   float64 `json:"aim,omitempty"` // at most; 0: none
}

var modes = map[string]func(context.Context, Options) ([]Row, error){"streams": streams, "pages": pages, "submit": submit}

// Run measures in a mode: streams, pages or submit.
func Run(ctx context.Context, mode string, o Options) ([]Row, error) {
	f := modes[mode]
	if f == nil {
		return nil, fmt.Errorf("no mode %q: there are streams, pages and submit", mode)
	}
	if o.Streams < 0 || o.Slow < 0 || o.Clients < 1 || o.Requests < 1 || o.Pairs < 1 || o.For <= 0 {
		return nil, errors.New("clients, requests, pairs and time must be above zero, streams and slow clients not below")
	}
	return f(ctx, o)
}

// WriteTable writes figures for people.
func WriteTable(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tmeasured\taim")
	for _, r := range rows {
		aim := ""
		if r.Aim > 0 {
			aim = fmt.Sprintf("%g %s", r.Aim, r.Unit)
		}
		fmt.Fprintf(t, "%s\t%.4g %s\t%s\n", r.What, r.Value, r.Unit, aim)
	}
	return t.Flush()
}

// quantile of some durations, in milliseconds; the slice is sorted.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[min(int(q*float64(len(all))), len(all)-1)]) / 1e6
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
