package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/adit-pool/adit/pool"
)

var siSteps = [...]string{"", "k", "M", "G", "T", "P", "E", "Z", "Y"}

// scaled writes v with three or four significant digits and a step of 1000.
func scaled(v float64) (number, step string) {
	if v = finite(v); v <= 0 {
		return "0", ""
	}
	i := 0
	for v >= 999.95 && i < len(siSteps)-1 {
		v /= 1000
		i++
	}
	switch {
	case i == 0 && v < 0.001:
		return strconv.FormatFloat(v, 'e', 2, 64), ""
	case i == 0 && v < 1:
		return strconv.FormatFloat(v, 'g', 3, 64), ""
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64), siSteps[i]
	}
	return strconv.FormatFloat(v, 'f', 1, 64), siSteps[i]
}

// hashrateText is "12.3 TH/s".
func hashrateText(v float64) string {
	n, step := scaled(v)
	return n + " " + step + "H/s"
}

// difficultyText is "83.1 T" or "4.66e-10".
func difficultyText(v float64) string {
	n, step := scaled(v)
	return strings.TrimSpace(n + " " + step)
}

// countText groups digits by thousands with narrow spaces.
func countText(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// spanText is a duration in its two largest units: "42 s", "7 min", "3 h 20 min", "5 d 2 h".
func spanText(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 1:
		return "under 1 s"
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", s/3600, s%3600/60), " 0 min")
	case s < 100*365*86400:
		return strings.TrimSuffix(fmt.Sprintf("%s d %d h", countText(uint64(s/86400)), s%86400/3600), " 0 h")
	}
	return "over 100 years"
}

// agoText is how long ago something was, in one unit.
func agoText(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 1:
		return "just now"
	case s < 60:
		return fmt.Sprintf("%d s ago", s)
	case s < 100*60:
		return fmt.Sprintf("%d min ago", s/60)
	case s < 2*86400:
		return fmt.Sprintf("%d h ago", s/3600)
	}
	return countText(uint64(s/86400)) + " d ago"
}

// blockTimeText is how long a hashrate takes to find a block on average.
func blockTimeText(expected, hashrate float64) string {
	if expected <= 0 || hashrate <= 0 {
		return "–"
	}
	s := expected / hashrate
	if s > 1e11 {
		return "over 100 years"
	}
	return spanText(time.Duration(s * float64(time.Second) * 1.0000001))
}

// percentText writes a fraction as a percentage.
func percentText(v float64) string {
	p := finite(v) * 100
	switch {
	case p == 0:
		return "0 %"
	case p < 0.01:
		return "under 0.01 %"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

// feeText writes parts per million as a percentage without trailing zeros.
func feeText(ppm uint32) string {
	s := pool.Amount(ppm).Format(4)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + " %"
}

// rejectShare is the part of all shares that was refused.
func rejectShare(accepted uint64, rejected map[string]uint64) float64 {
	var n uint64
	for _, v := range rejected {
		n += v
	}
	if n == 0 {
		return 0
	}
	return float64(n) / (float64(n) + float64(accepted))
}

// fraction is a/b for showing, 0 when b is 0.
func fraction(a, b pool.Work) float64 {
	if b.IsZero() {
		return 0
	}
	return math.Min(finite(a.Float64()/b.Float64()), 1)
}

// shortened keeps both ends of a long hash or address.
func shortened(s string, head, tail int) string {
	if len(s) <= head+tail+1 {
		return s
	}
	return s[:head] + "…" + s[len(s)-tail:]
}
