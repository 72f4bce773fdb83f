package dashboard

import (
	"strconv"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/pool"
)

// Size of a chart's drawing in its own units; pages stretch it.
const (
	chartWidth  = 1000
	chartHeight = 260
)

// chart is a hashrate history as a page shows it without JavaScript: a drawing and a table.
type chart struct {
	Source string // where the values are as JSON
	Steps  string // resolutions that there are, the shown one first
	Bucket int64  // seconds a point
	Label  string
	Line   string // SVG path of the running mean
	Area   string // SVG path below it
	Peak   float64
	Hours  []chartHour
}

// chartHour is one row of the table.
type chartHour struct {
	Time     time.Time
	Hashrate float64
	Workers  int // most at a time
}

// chartOf draws points of the given bucket (seconds); means are over ten minutes.
func chartOf(points []pool.HistoryPoint, bucket int64, source, steps, label string) chart {
	c := chart{Source: source, Steps: steps, Bucket: bucket, Label: label}
	if len(points) == 0 {
		return c
	}
	means := runningMean(points, max(int(600/bucket), 1))
	for _, m := range means {
		c.Peak = max(c.Peak, m)
	}
	first, last := points[0].Time, points[len(points)-1].Time+bucket
	x := func(t int64) string {
		return strconv.FormatFloat(float64(t-first)/float64(last-first)*chartWidth, 'f', 1, 64)
	}
	y := func(v float64) string {
		if c.Peak == 0 {
			return strconv.Itoa(chartHeight)
		}
		return strconv.FormatFloat(chartHeight*(1-v/c.Peak/1.1), 'f', 1, 64)
	}
	var line strings.Builder
	line.WriteString("M0 " + y(means[0]))
	step := max(len(points)/300, 1)
	for i := 0; i < len(points); i += step {
		line.WriteString("L" + x(points[i].Time+bucket) + " " + y(means[i]))
	}
	line.WriteString("L" + x(last) + " " + y(means[len(means)-1]))
	c.Line = line.String()
	c.Area = c.Line + "V" + strconv.Itoa(chartHeight) + "H0Z"

	for i := len(points) - 1; i >= 0; {
		hour := points[i].Time / 3600
		row := chartHour{Time: time.Unix(hour*3600, 0).UTC()}
		n := 0
		for ; i >= 0 && points[i].Time/3600 == hour; i-- {
			row.Hashrate += view.Finite(points[i].Hashrate)
			row.Workers = max(row.Workers, points[i].Workers)
			n++
		}
		row.Hashrate /= float64(n)
		c.Hours = append(c.Hours, row)
	}
	return c
}

// runningMean averages each point with those before it, n in all.
func runningMean(points []pool.HistoryPoint, n int) []float64 {
	out := make([]float64, len(points))
	var sum float64
	for i := range points {
		sum += view.Finite(points[i].Hashrate)
		if i >= n {
			sum -= view.Finite(points[i-n].Hashrate)
		}
		out[i] = max(sum, 0) / float64(min(i+1, n))
	}
	return out
}
