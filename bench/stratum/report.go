package stratum

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// row is a figure of a result.
type row struct {
	name string
	less bool // is better
	of   func(Result) float64
	text func(float64) string
}

func milliseconds(v float64) string { return fmt.Sprintf("%.2f ms", v/1e6) }
func microseconds(v float64) string { return fmt.Sprintf("%.2f µs", v/1e3) }
func whole(v float64) string        { return fmt.Sprintf("%.0f", v) }

func rows() []row {
	duration := func(f func(Result) time.Duration) func(Result) float64 {
		return func(r Result) float64 { return float64(f(r)) }
	}
	return []row{
		{"connections", false, func(r Result) float64 { return float64(r.Connections) }, whole},
		{"failed", true, func(r Result) float64 { return float64(r.Failed) }, whole},
		{"connect → first job p50", true, duration(func(r Result) time.Duration { return r.FirstJob50 }), milliseconds},
		{"connect → first job p99", true, duration(func(r Result) time.Duration { return r.FirstJob99 }), milliseconds},
		{"resident bytes a connection", true, func(r Result) float64 { return float64(r.Memory) }, whole},
		{"accepted", false, func(r Result) float64 { return float64(r.Accepted) }, whole},
		{"rejected", true, func(r Result) float64 { return float64(r.Rejected) }, whole},
		{"unanswered", true, func(r Result) float64 { return float64(r.Unanswered) }, whole},
		{"accepted a second", false, func(r Result) float64 { return r.PerSecond }, whole},
		{"accepted a CPU second of the server", false, func(r Result) float64 { return r.PerCPU }, whole},
		{"server CPU a share", true, duration(func(r Result) time.Duration { return r.CPUPerShare }), microseconds},
		{"answer p50", true, duration(func(r Result) time.Duration { return r.Answer50 }), milliseconds},
		{"answer p99", true, duration(func(r Result) time.Duration { return r.Answer99 }), milliseconds},
		{"tip → first clean job", true, duration(func(r Result) time.Duration { return r.TipFirst }), milliseconds},
		{"tip → last clean job", true, duration(func(r Result) time.Duration { return r.TipLast }), milliseconds},
		{"server CPU", true, duration(func(r Result) time.Duration { return r.ServerCPU }), milliseconds},
		{"own CPU", true, duration(func(r Result) time.Duration { return r.OwnCPU }), milliseconds},
		{"45 compressions by crypto/sha256", true, duration(func(r Result) time.Duration { return r.Anchor }), microseconds},
	}
}

// line is what matters of a run.
func (r Result) line() string {
	return fmt.Sprintf("%d connections (%d failed), %d accepted, %d rejected, %.0f a second, %v server CPU a share, tip to last %v, first job p99 %v",
		r.Connections, r.Failed, r.Accepted, r.Rejected, r.PerSecond, r.CPUPerShare, r.TipLast.Round(time.Microsecond), r.FirstJob99.Round(time.Microsecond))
}

// median of a row's figures over runs, which must not be none.
func (w row) median(runs []Result) float64 {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b Result) int { return cmp.Compare(w.of(a), w.of(b)) })
	return w.of(sorted[len(sorted)/2])
}

// WriteTable writes the medians, for two servers side by side with how many times
// the first is better.
func WriteTable(out io.Writer, servers []Server, results [][]Result) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for i, s := range servers {
		fmt.Fprintf(t, "%s (%d runs)\t", s.Address, len(results[i]))
	}
	if len(servers) == 2 {
		fmt.Fprint(t, "better by\t")
	}
	fmt.Fprintln(t)
	for _, w := range rows() {
		values := make([]float64, len(servers))
		for i := range servers {
			values[i] = w.median(results[i])
		}
		if !slices.ContainsFunc(values, func(v float64) bool { return v != 0 }) {
			continue
		}
		fmt.Fprint(t, w.name+"\t")
		for _, v := range values {
			fmt.Fprint(t, w.text(v)+"\t")
		}
		if len(values) == 2 {
			if w.less {
				values[0], values[1] = values[1], values[0]
			}
			if values[0] != 0 && values[1] != 0 {
				fmt.Fprintf(t, "%.2f\t", values[0]/values[1])
			} else {
				fmt.Fprint(t, "\t")
			}
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
