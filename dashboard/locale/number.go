package locale

import (
	"math"
	"strconv"
	"strings"
	"time"
)

var siSteps = [...]string{"", "k", "M", "G", "T", "P", "E", "Z", "Y"}

// finite makes a statistic fit for showing.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// scaled writes v with three or four significant digits and a step of 1000.
func (l *Locale) scaled(v float64) (number, step string) {
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
		number = strconv.FormatFloat(v, 'e', 2, 64)
	case i == 0 && v < 1:
		number = strconv.FormatFloat(v, 'g', 3, 64)
	case v < 10:
		number = strconv.FormatFloat(v, 'f', 2, 64)
	default:
		number = strconv.FormatFloat(v, 'f', 1, 64)
	}
	return l.point(number), siSteps[i]
}

// point puts in the decimal sign.
func (l *Locale) point(s string) string { return strings.Replace(s, ".", l.Decimal, 1) }

// Hashrate is "12.3 TH/s".
func (l *Locale) Hashrate(v float64) string {
	n, step := l.scaled(v)
	return n + " " + step + "H/s"
}

// Difficulty is "83.1 T" or "4.66e-10".
func (l *Locale) Difficulty(v float64) string {
	n, step := l.scaled(v)
	return strings.TrimSpace(n + " " + step)
}

// Count groups digits by thousands.
func (l *Locale) Count(n uint64) string { return l.group(strconv.FormatUint(n, 10)) }

func (l *Locale) group(s string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + l.Group + s[i:]
	}
	return s
}

// Amount writes money given as a decimal number in English.
func (l *Locale) Amount(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, part, ok := strings.Cut(s, ".")
	if !ok {
		return sign + l.group(whole)
	}
	return sign + l.group(whole) + l.Decimal + part
}

// Percent writes a fraction as a percentage.
func (l *Locale) Percent(v float64) string {
	p := finite(v) * 100
	switch {
	case p == 0:
		return "0 %"
	case p < 0.01:
		return l.T("under %s", l.point("0.01")+" %")
	case p < 10:
		return l.point(strconv.FormatFloat(p, 'f', 2, 64)) + " %"
	}
	return l.point(strconv.FormatFloat(p, 'f', 1, 64)) + " %"
}

// Odds writes a small probability as "1 in 12,345".
func (l *Locale) Odds(v float64) string {
	switch v = finite(v); {
	case v <= 0:
		return "–"
	case v >= 0.5:
		return l.Percent(v)
	case v < 1e-12:
		return l.T("under %s", l.T("1 in %s", l.point("1e+12")))
	}
	return l.T("1 in %s", l.Count(uint64(math.Round(1/v))))
}

// Number writes v with two digits behind the point.
func (l *Locale) Number(v float64) string {
	return l.point(strconv.FormatFloat(finite(v), 'f', 2, 64))
}

// Span is a duration in its two largest units: "42 s", "7 min", "3 h 20 min", "5 d 2 h".
func (l *Locale) Span(d time.Duration) string {
	s := int64(d / time.Second)
	two := func(a, b int64, whole, both string) string {
		if b == 0 {
			return l.T(whole, l.Count(uint64(a)))
		}
		return l.T(both, l.Count(uint64(a)), b)
	}
	switch {
	case s < 1:
		return l.T("under %s", l.T("%s s", "1"))
	case s < 60:
		return l.T("%s s", strconv.FormatInt(s, 10))
	case s < 3600:
		return l.T("%s min", strconv.FormatInt(s/60, 10))
	case s < 86400:
		return two(s/3600, s%3600/60, "%s h", "%s h %d min")
	case s < 100*365*86400:
		return two(s/86400, s%86400/3600, "%s d", "%s d %d h")
	}
	return l.T("over 100 years")
}

// Seconds is Span for a number of seconds that may be anything.
func (l *Locale) Seconds(s float64) string {
	switch {
	case !(s > 0):
		return "–"
	case s > 1e9*3:
		return l.T("over 100 years")
	}
	return l.Span(time.Duration(s * float64(time.Second) * 1.0000001))
}

// Ago is how long ago something was, in one unit.
func (l *Locale) Ago(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 1:
		return l.T("just now")
	case s < 60:
		return l.T("%s s ago", strconv.FormatInt(s, 10))
	case s < 100*60:
		return l.T("%s min ago", strconv.FormatInt(s/60, 10))
	case s < 2*86400:
		return l.T("%s h ago", strconv.FormatInt(s/3600, 10))
	}
	return l.T("%s d ago", l.Count(uint64(s/86400)))
}

// Date is an instant in UTC.
func (l *Locale) Date(t time.Time) string { return t.UTC().Format(l.layout) + " UTC" }
