package locale

import (
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	l := all[0]
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(l.Hashrate(0), "0 H/s")
	f(l.Hashrate(0.5), "0.5 H/s")
	f(l.Hashrate(999), "999.0 H/s")
	f(l.Hashrate(999.96), "1.00 kH/s")
	f(l.Hashrate(1234), "1.23 kH/s")
	f(l.Hashrate(1.5e20), "150.0 EH/s")
	f(l.Difficulty(4.6566e-10), "4.66e-10")
	f(l.Difficulty(83.1e12), "83.1 T")
	f(l.Difficulty(0.0017), "0.0017")
	f(l.Count(0), "0")
	f(l.Count(1234567), "1,234,567")
	f(l.Span(0), "under 1 s")
	f(l.Span(59*time.Second), "59 s")
	f(l.Span(3600*time.Second), "1 h")
	f(l.Span(3700*time.Second), "1 h 1 min")
	f(l.Span(50*time.Hour), "2 d 2 h")
	f(l.Ago(-time.Hour), "just now")
	f(l.Ago(99*time.Minute), "99 min ago")
	f(l.Ago(100*time.Minute), "1 h ago")
	f(l.Ago(72*time.Hour), "3 d ago")
	f(l.Percent(0.00001), "under 0.01 %")
	f(l.Percent(0.0123), "1.23 %")
	f(l.Percent(2.5), "250.0 %")
	f(l.Amount("-1234567.00100000"), "-1,234,567.00100000")
	f(l.Seconds(7864320/27800.0), "4 min")
	f(l.Seconds(1e30), "over 100 years")
	f(l.Seconds(0), "–")
	f(l.Odds(0.00002), "1 in 50,000")
	f(l.Odds(0.75), "75.0 %")
	de := all.Find("de-AT")
	f(de.Hashrate(1234), "1,23 kH/s")
	f(de.Count(1234567), "1.234.567")
	f(de.Amount("1234.50"), "1.234,50")
	f(de.Date(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)), "04.03.2026 05:06:07 UTC")
}
