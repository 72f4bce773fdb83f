package payout

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 29, 59, 0, time.UTC) // a Sunday
	for _, c := range []struct{ text, want string }{
		{"06:29", "2026-11-22 06:29"}, {"06:30", "2026-11-21 06:30"}, {"mon 00:00", "2026-11-16 00:00"},
		{"sun 06:30", "2026-11-15 06:30"}, {"Sun 06:29", "2026-11-22 06:29"},
	} {
		s, err := ParseSchedule(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := s.Last(now); !ok || at.Format("2006-01-02 15:04") != c.want {
			t.Errorf("%s: %s, want %s", c.text, at, c.want)
		}
	}
	for _, bad := range []string{"6", "day 06:30", "mon", "25:00", "06:30 mon"} {
		if _, err := ParseSchedule(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if s, err := ParseSchedule(""); err != nil {
		t.Error(err)
	} else if _, ok := s.Last(now); ok {
		t.Error("never is sometimes")
	}
}
