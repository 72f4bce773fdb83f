// Package view shows a rig to the person before it: a frame that is drawn anew
// every second on a terminal, or plain lines elsewhere.
package view

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/adit-pool/adit/worker"
)

// column of the table of devices. Those of the highest drop go first when the
// terminal is narrow; 0 always stays.
type column struct {
	title string
	right bool
	drop  int
	cell  func(worker.DeviceStatus) string
}

var columns = [...]column{
	{"device", false, 0, func(d worker.DeviceStatus) string { return d.Name }},
	{"hashrate", true, 0, func(d worker.DeviceStatus) string { return Hashrate(d.Hashrate) }},
	{"accepted", true, 1, func(d worker.DeviceStatus) string { return fmt.Sprint(d.Accepted) }},
	{"rejected", true, 5, func(d worker.DeviceStatus) string { return fmt.Sprint(d.Rejected - d.Stale) }},
	{"stale", true, 6, func(d worker.DeviceStatus) string { return fmt.Sprint(d.Stale) }},
	{"errors", true, 8, func(d worker.DeviceStatus) string { return fmt.Sprint(d.Errors) }},
	{"temp", true, 2, func(d worker.DeviceStatus) string { return reading(d.Temperature, "%.0f °C") }},
	{"fan", true, 9, func(d worker.DeviceStatus) string { return reading(d.Fan, "%.0f %%") }},
	{"power", true, 4, func(d worker.DeviceStatus) string { return reading(d.Power, "%.0f W") }},
	{"J/H", true, 7, func(d worker.DeviceStatus) string { return joules(d.JoulesPerHash()) }},
	{"state", false, 3, func(d worker.DeviceStatus) string { return state(d) }},
	{"path", false, 10, func(d worker.DeviceStatus) string { return d.Path }},
	{"model", false, 11, func(d worker.DeviceStatus) string { return d.Model }},
}

func reading(v *float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}

func joules(j float64, known bool) string {
	if !known {
		return "-"
	}
	return scaled(j, "J")
}

func state(d worker.DeviceStatus) string {
	s := string(d.State)
	switch {
	case d.State == worker.Throttled && d.Duty == 0:
		s = "resting"
	case d.State == worker.Throttled:
		s = fmt.Sprintf("throttled to %d %%", d.Duty)
	case d.State == worker.Searching && d.Duty < 100:
		s = fmt.Sprintf("at %d %%", d.Duty)
	}
	return s // the log tells why
}

// Frame is what is shown of s, at most height lines of at most width characters:
// the connection, the shares, the devices, and as much of log (newest last) as
// there is room for. It holds no control characters.
func Frame(s worker.Status, log []string, width, height int) []string {
	width, height = max(width, 1), max(height, 1)
	lines := []string{title(s, width)}
	lines = append(lines, pool(s, width)...)
	lines = append(lines, shares(s, width)...)
	lines = append(lines, "")
	lines = append(lines, devices(s.Devices, width)...)
	if room := height - len(lines) - 1; room > 0 && len(log) > 0 {
		lines = append(lines, "")
		lines = append(lines, log[max(0, len(log)-room):]...)
	}
	// A low terminal keeps the top: connection and sum.
	lines = lines[:min(len(lines), height)]
	for i, line := range lines {
		lines[i] = strings.TrimRight(cut(line, width), " ")
	}
	return lines
}

func title(s worker.Status, width int) string {
	parts := []string{Hashrate(s.Counts.Hashrate), s.Kernel, "up " + duration(s.Uptime())}
	if watts, known := s.Power(); known {
		parts = append(parts, fmt.Sprintf("%.0f W", watts))
	}
	if j, known := s.JoulesPerHash(); known {
		parts = append(parts, scaled(j, "J/H"))
	}
	return fitting(width, "   ", parts...)
}

func pool(s worker.Status, width int) []string {
	p := s.Pool
	if !p.Connected() {
		line := "pool        none yet"
		if p.Address != "" {
			line = "pool        " + p.Address + " is away"
		}
		return []string{line, "            " + p.Why, ""}
	}
	line := "pool        " + p.Address
	if p.TLS {
		line += " (TLS)"
	}
	if p.Index > 0 {
		line += fmt.Sprintf(", backup %d", p.Index)
	}
	work := []string{"work        none yet"}
	switch {
	case !p.LoggedIn:
		work[0] = "work        logging in"
	case p.Job != "":
		work[0] = "work        difficulty " + p.Difficulty
		work = append(work, fmt.Sprintf("job %s since %s", p.Job, duration(s.Time.Sub(p.JobTime))))
	}
	if p.Latency > 0 {
		work = append(work, fmt.Sprintf("answers in %.1f ms", p.Latency.Seconds()*1000))
	}
	return []string{
		fitting(width, ", ", line, "since "+duration(s.Time.Sub(p.Since))),
		middle("user        "+p.User, width),
		fitting(width, ", ", work...),
	}
}

func shares(s worker.Status, width int) []string {
	c := s.Counts
	answered := c.Accepted + c.Rejected
	parts, short := []string{}, []string{}
	for _, kind := range []struct {
		count uint64
		name  string
	}{{c.Accepted, "accepted"}, {c.Rejected - c.Stale, "rejected"}, {c.Stale, "stale"}} {
		short = append(short, fmt.Sprintf("%d %s", kind.count, kind.name))
		parts = append(parts, fmt.Sprintf("%d %s (%s)", kind.count, kind.name, percent(kind.count, answered)))
	}
	if c.Lost > 0 {
		lost := fmt.Sprintf("%d lost", c.Lost)
		parts, short = append(parts, lost), append(short, lost)
	}
	lines := []string{"shares      " + strings.Join(parts, ", ")}
	if utf8.RuneCountInString(lines[0]) > width { // a narrow terminal does without the percentages
		short[0] = "shares      " + short[0]
		lines[0] = fitting(width, ", ", short...)
	}
	const most = 4
	for i, r := range c.Rejects {
		if i == most {
			lines = append(lines, fmt.Sprintf("            and %d kinds more", len(c.Rejects)-most))
			break
		}
		lines = append(lines, fmt.Sprintf("            %d × %s", r.Count, reason(r)))
	}
	return lines
}

func reason(r worker.Reject) string {
	if r.Code == 0 {
		return r.Reason
	}
	return fmt.Sprintf("%s (%d)", r.Reason, r.Code)
}

// devices is the table, as many columns of it as fit.
func devices(list []worker.DeviceStatus, width int) []string {
	const gap = 2
	shown := columns[:]
	for drop := 12; ; drop-- {
		var kept []column
		for _, c := range columns {
			if c.drop < drop && !(c.drop > 0 && blank(c, list)) {
				kept = append(kept, c)
			}
		}
		shown = kept
		sum := 0
		for _, c := range kept {
			sum += wide(c, list) + gap
		}
		if sum-gap <= width || drop == 1 {
			break
		}
	}
	var lines []string
	row := func(cell func(column) string) {
		var b strings.Builder
		for i, c := range shown {
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			b.WriteString(pad(cell(c), wide(c, list), c.right))
		}
		lines = append(lines, b.String())
	}
	row(func(c column) string { return c.title })
	for _, d := range list {
		row(func(c column) string { return c.cell(d) })
	}
	return lines
}

// blank: no device has anything to say in c.
func blank(c column, list []worker.DeviceStatus) bool {
	for _, d := range list {
		if cell := c.cell(d); cell != "" && cell != "-" {
			return false
		}
	}
	return true
}

// wide is the width of a column.
func wide(c column, list []worker.DeviceStatus) int {
	w := utf8.RuneCountInString(c.title)
	for _, d := range list {
		w = max(w, utf8.RuneCountInString(c.cell(d)))
	}
	return w
}
