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
	"slices"
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
	Path      string  `json:"path"`    // an implementation, with "-rolled" its search of several versions, or "share": the hashing of one share in the server
	Threads   int     `json:"threads"` //
	Rate      float64 `json:"hashes_per_second"`

	// LimitFraction is the rate divided by what this CPU's execution units allow
	// at the clock it had; nil where that is not known. See limits.go.
	LimitFraction *float64 `json:"limit_fraction"`
	RatioGeneric  float64  `json:"ratio_to_generic"` // with one thread, for the same purpose

	// ClockOK is that during the best window every thread had at least 95 % of the
	// best clock that was seen and of its processor; without it the line tells nothing.
	ClockOK bool `json:"clock_ok"`
}

// Options say how much to measure.
type Options struct {
	Algorithm string        // one kernel only; empty: all
	For       time.Duration // of each line, in all its windows; 0 is 600 ms
	Threads   []int         // how many; one: every implementation, more: the fastest. Empty: one, and one for each processor
}

const (
	window  = 20 * time.Millisecond
	clockOK = 0.95 // of the best clock

	rolledSuffix = "-rolled"
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
	if len(o.Threads) == 0 {
		o.Threads = []int{1, runtime.GOMAXPROCS(0)}
	}
	for _, n := range o.Threads {
		if n < 1 || n > runtime.GOMAXPROCS(0) {
			return nil, fmt.Errorf("bench kernels: %d threads, want 1 to %d, a processor each", n, runtime.GOMAXPROCS(0))
		}
	}
	threads := slices.Compact(slices.Sorted(slices.Values(o.Threads)))
	ports := kernels.MeasurePorts()
	var tasks []*task
	for _, a := range []struct {
		name string
		all  []kernels.Implementation
	}{{"sha256d", sha256d.Implementations()}, {"scrypt", scrypt.Implementations()}} {
		if o.Algorithm == "" || o.Algorithm == a.name {
			tasks = append(tasks, searches(a.name, a.all, threads, ports, len(tasks))...)
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
			took, clock, highest := t.probed()
			best = max(best, highest)
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

// window is how long one of the task's threads took for count hashes.
func (t *task) window() time.Duration {
	began := time.Now()
	t.work(t.count)
	return time.Since(began)
}

// probed is how long the task's threads took for count hashes each, all together, and
// the lowest and the highest clock that they had before and after. What a thread
// lacked of its processor in between is taken off the lowest.
func (t *task) probed() (took time.Duration, lowest, highest float64) {
	n := t.result.Threads
	clocks := make([]float64, 2*n)
	ends := make([]time.Time, n)
	busy := make([]time.Duration, n)
	var ready, threads sync.WaitGroup
	ready.Add(n)
	begin := make(chan struct{})
	for i := range n {
		threads.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			clocks[2*i] = kernels.Clock()
			ready.Done()
			<-begin
			before := kernels.ThreadTime()
			t.work(t.count)
			busy[i] = kernels.ThreadTime() - before
			ends[i] = time.Now()
			clocks[2*i+1] = kernels.Clock()
		})
	}
	ready.Wait()
	began := time.Now()
	close(begin)
	threads.Wait()
	took = slices.MaxFunc(ends, time.Time.Compare).Sub(began)
	had := min(float64(slices.Min(busy))/float64(took), 1)
	return took, slices.Min(clocks) * had, slices.Max(clocks)
}

// searches are all usable implementations with one thread, and the fastest with
// more. first is the index of the first of them.
func searches(name string, all []kernels.Implementation, threads []int, ports kernels.Ports, first int) (tasks []*task) {
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
	addRolled := func(impl kernels.Implementation, threads int) {
		if _, ok := impl.Kernel.(kernels.Rolling); !ok || impl.Name == "generic" {
			return
		}
		path := impl.Name + rolledSuffix
		tasks = append(tasks, &task{
			result: Result{Algorithm: name, Path: path, Threads: threads},
			lanes:  uint64(impl.Lanes) * kernels.Together, generic: first, limit: limit(name, path, ports),
			work: func(n uint64) {
				var header [kernels.HeaderSize]byte
				var none [32]byte
				versions := make([]uint32, kernels.Together)
				kernels.ScanVersions(impl.Kernel, &header, versions, 0, n/kernels.Together, &none, nil)
			},
		})
	}
	fastest, rolling := sha256d.Fastest(), sha256d.FastestRolling()
	if name == "scrypt" {
		fastest, rolling = scrypt.Fastest(), kernels.Implementation{}
	}
	add(all[0], 1) // what the others are compared with
	for _, n := range threads {
		if n > 1 {
			add(fastest, n)
			addRolled(rolling, n)
			continue
		}
		for _, impl := range all[1:] {
			if impl.Off == "" {
				add(impl, 1)
				addRolled(impl, 1)
			}
		}
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
	fmt.Fprintln(table, "algorithm\tpath\tthreads\thashes/s\tof limit\tx generic\tx one thread\tclock\t")
	busy := 0
	one := map[string]Result{}
	for _, r := range results {
		of, times, clock := "", "", "ok"
		if same, measured := one[r.Algorithm+r.Path]; r.Threads > 1 && measured {
			times = fmt.Sprintf("%.2f", r.Rate/same.Rate)
		} else if r.Threads == 1 {
			one[r.Algorithm+r.Path] = r
		}
		if r.LimitFraction != nil {
			of = fmt.Sprintf("%.0f %%", *r.LimitFraction*100)
		}
		if !r.ClockOK {
			clock = "busy"
			busy++
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%.2f\t%s\t%s\t\n", r.Algorithm, r.Path, r.Threads, rate(r.Rate), of, r.RatioGeneric, times, clock)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	var err error
	switch clock := kernels.Clock(); {
	case clock == 0:
		_, err = fmt.Fprintln(w, "The clock cannot be probed on this machine: nothing says whether it was too busy to judge.")
	case busy > 0:
		_, err = fmt.Fprintf(w, "The machine was too busy to judge %d of %d lines: their best window had less than 95 %% of the best clock or of a processor for each thread.\n", busy, len(results))
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
