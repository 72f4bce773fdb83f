package view

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// scaled writes a number with a unit and its prefix, such as "12.3 MH/s".
func scaled(v float64, unit string) string {
	big := []string{"", "k", "M", "G", "T", "P", "E"}
	small := []string{"", "m", "µ", "n", "p", "f", "a"}
	switch {
	case v == 0 || math.IsNaN(v) || math.IsInf(v, 0):
		return "0 " + unit
	case math.Abs(v) >= 1:
		i := 0
		for math.Abs(v) >= 999.5 && i < len(big)-1 {
			v, i = v/1000, i+1
		}
		return digits(v) + " " + big[i] + unit
	}
	i := 0
	for math.Abs(v) < 0.9995 && i < len(small)-1 {
		v, i = v*1000, i+1
	}
	return digits(v) + " " + small[i] + unit
}

// digits writes three of them.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Hashrate writes hashes per second.
func Hashrate(h float64) string { return scaled(h, "H/s") }

// duration writes whole seconds, with days.
func duration(d time.Duration) string {
	d = d.Truncate(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	if h >= 24 {
		return fmt.Sprintf("%dd %02d:%02d:%02d", h/24, h%24, m, s)
	}
	return fmt.Sprintf("%02d:%02d:%02d", h, m, s)
}

// percent is of a total; nothing of nothing is 0.
func percent(n, total uint64) string {
	if total == 0 {
		return "0 %"
	}
	p := 100 * float64(n) / float64(total)
	if n > 0 && p < 0.01 {
		return "<0.01 %"
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", p), "0"), ".") + " %"
}

// cut shortens s to width characters, with an ellipsis where something is gone.
func cut(s string, width int) string {
	if width <= 0 {
		return ""
	}
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	runes := []rune(s)
	return string(runes[:width-1]) + "…"
}

// pad fills s up to width; right puts it on the right.
func pad(s string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
	if right {
		return space + s
	}
	return s + space
}

// fitting joins as many of the parts as width has room for, the first in any case.
func fitting(width int, between string, parts ...string) string {
	line := parts[0]
	for _, part := range parts[1:] {
		if utf8.RuneCountInString(line)+len(between)+utf8.RuneCountInString(part) > width {
			break
		}
		line += between + part
	}
	return line
}

// middle makes s at most width characters by leaving out some of its second half
// but for its last twelve: of a user name the worker's stays.
func middle(s string, width int) string {
	const tail = 12
	runes := []rune(s)
	if len(runes) <= width || width < 3*tail {
		return s
	}
	return string(runes[:width-tail-1]) + "…" + string(runes[len(runes)-tail:])
}
