// Package kernels measures every proof-of-work implementation that this machine
// can use: hashes a second of one thread, of all threads, and what a share costs
// the server; against the generic Go and against what the CPU's execution units
// allow. It probes the clock beside every measurement and says when the machine
// was too busy to judge. It does not compare with other programs.
package kernels

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// Result is one line. Rates are those of the best window.
type Result struct {
	Algorithm string  `json:"algorithm"`
	Path      string  `json:"path"`    // an implementation, or "share": the hashing of one share in the server
	Threads   int     `json:"threads"` //
	Rate      float64 `json:"hashes_per_second"`

	// LimitFraction is the rate divided by what this CPU's execution units allow
	// at the clock it had; nil where that is not known. See limits.go.
	LimitFraction *float64 `json:"limit_fraction"`
	RatioGeneric  float64  `json:"ratio_to_generic"` // of the same threads and purpose

	// ClockOK is that during the best window the thread had at least 95 % of the
	// best clock that was seen; without it the line tells nothing.
	ClockOK bool `json:"clock_ok"`
}

// Options say how much to measure.
type Options struct {
	Algorithm string        // one kernel only; empty: all
	For       time.Duration // of each line, in all its windows; 0 is 600 ms
}

const (
	window  = 20 * time.Millisecond
	clockOK = 0.95 // of the best clock
)

// task is what is measured: one goroutine's work of n hashes.
type task struct {
	result  Result
	lanes   uint64
	work    func(n uint64)
	generic int     // index of the task to compare with
	limit   float64 // cycles of a hash at best; 0: not known

	count uint64 // hashes of a window
	clock float64
}

// Run measures; lines come when all is done, because windows of all are taken in
// turn, so that a busy moment strikes all alike.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if o.For == 0 {
		o.For = 600 * time.Millisecond
	}
	ports := kernels.MeasurePorts()
	var tasks []*task
	for _, a := range []struct {
		name string
		all  []kernels.Implementation
	}{{"sha256d", sha256d.Implementations()}, {"scrypt", scrypt.Implementations()}} {
		if o.Algorithm == "" || o.Algorithm == a.name {
			tasks = append(tasks, searches(a.name, a.all, ports, len(tasks))...)
			tasks = append(tasks, shares(a.name, len(tasks))...)
		}
	}
	if len(tasks) == 0 {
		return nil, fmt.Errorf("bench kernels: no kernel is named %q", o.Algorithm)
	}
	for _, t := range tasks {
		t.count = t.lanes
		for t.window() < window/2 {
			t.count *= 2
		}
	}
	best := 0.0 // clock
	for range max(int(o.For/window), 3) {
		for _, t := range tasks {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			before := kernels.Clock()
			took := t.window()
			clock := min(before, kernels.Clock())
			best = max(best, clock, before)
			if rate := float64(t.count) * float64(t.result.Threads) / took.Seconds(); rate > t.result.Rate {
				t.result.Rate, t.clock = rate, clock
			}
		}
	}
	results := make([]Result, len(tasks))
	for i, t := range tasks {
		r := &t.result
		r.RatioGeneric = r.Rate / tasks[t.generic].result.Rate
		r.ClockOK = best > 0 && t.clock >= clockOK*best
		if t.limit > 0 && best > 0 {
			fraction := r.Rate * t.limit / best / float64(r.Threads)
			r.LimitFraction = &fraction
		}
		results[i] = *r
	}
	return results, nil
}

// window is how long each of the task's threads took for count hashes.
func (t *task) window() time.Duration {
	began := time.Now()
	if t.result.Threads == 1 {
		t.work(t.count)
		return time.Since(began)
	}
	var threads sync.WaitGroup
	for range t.result.Threads {
		threads.Go(func() { t.work(t.count) })
	}
	threads.Wait()
	return time.Since(began)
}

// searches are all usable implementations with one thread, and the fastest with
// one for each processor. first is the index of the first of them.
func searches(name string, all []kernels.Implementation, ports kernels.Ports, first int) (tasks []*task) {
	add := func(impl kernels.Implementation, threads int) {
		tasks = append(tasks, &task{
			result: Result{Algorithm: name, Path: impl.Name, Threads: threads},
			lanes:  uint64(impl.Lanes), generic: first, limit: limit(name, impl.Name, ports),
			work: func(n uint64) {
				var header [kernels.HeaderSize]byte
				var none [32]byte
				impl.Kernel.Scan(&header, 0, n, &none, nil)
			},
		})
	}
	fastest := sha256d.Fastest
	if name == "scrypt" {
		fastest = scrypt.Fastest
	}
	for _, impl := range all {
		if impl.Off == "" {
			add(impl, 1)
		}
	}
	if n := runtime.GOMAXPROCS(0); n > 1 {
		add(fastest(), n)
	}
	return tasks
}

// shares are what the server computes for one share: by the standard library,
// and by the kernels.
func shares(name string, first int) []*task {
	straight, fast := sha256dShareStraight, sha256dShare
	lanes := 1
	if name == "scrypt" {
		straight, fast = scryptShareStraight, scryptShares
		lanes = scryptBatch
	}
	return []*task{
		{result: Result{Algorithm: name, Path: "share-generic", Threads: 1}, lanes: 1, generic: first, work: straight},
		{result: Result{Algorithm: name, Path: "share", Threads: 1}, lanes: uint64(lanes), generic: first, work: fast},
	}
}

// WriteJSON writes one object a line.
func WriteJSON(w io.Writer, results []Result) error {
	lines := json.NewEncoder(w)
	for _, r := range results {
		if err := lines.Encode(r); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	return nil
}

// WriteTable writes a table for people, and what to think of it.
func WriteTable(w io.Writer, results []Result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "algorithm\tpath\tthreads\thashes/s\tof limit\tx generic\tclock\t")
	busy := 0
	for _, r := range results {
		of, clock := "", "ok"
		if r.LimitFraction != nil {
			of = fmt.Sprintf("%.0f %%", *r.LimitFraction*100)
		}
		if !r.ClockOK {
			clock = "busy"
			busy++
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%.2f\t%s\t\n", r.Algorithm, r.Path, r.Threads, rate(r.Rate), of, r.RatioGeneric, clock)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	var err error
	switch clock := kernels.Clock(); {
	case clock == 0:
		_, err = fmt.Fprintln(w, "The clock cannot be probed on this machine: nothing says whether it was too busy to judge.")
	case busy > 0:
		_, err = fmt.Fprintf(w, "The machine was too busy to judge %d of %d lines: their best window had less than 95 %% of the best clock.\n", busy, len(results))
	}
	return err
}

func rate(r float64) string {
	switch {
	case r >= 1e6:
		return fmt.Sprintf("%.2f M", r/1e6)
	case r >= 1e3:
		return fmt.Sprintf("%.2f k", r/1e3)
	}
	return fmt.Sprintf("%.1f  ", r)
}
