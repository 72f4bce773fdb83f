package payout

import (
	"fmt"
	"strings"
	"time"
)

// Schedule says when payouts are made by themselves: each day or on one day of the week, at a time in UTC. The
// zero value is never.
type Schedule struct {
	set    bool
	weekly bool
	day    time.Weekday
	minute int // of the day
}

// ParseSchedule reads "06:30", "mon 06:30", or "" for never.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	if text == "" {
		return s, nil
	}
	clock := text
	if day, rest, ok := strings.Cut(text, " "); ok {
		clock, s.weekly = rest, true
		found := false
		for d := time.Sunday; d <= time.Saturday; d++ {
			if strings.EqualFold(day, d.String()[:3]) {
				s.day, found = d, true
			}
		}
		if !found {
			return s, fmt.Errorf("schedule %q: the day is one of sun, mon, tue, wed, thu, fri, sat", text)
		}
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return s, fmt.Errorf(`schedule %q: give a time in UTC such as "06:30", or "mon 06:30"`, text)
	}
	s.set, s.minute = true, at.Hour()*60+at.Minute()
	return s, nil
}

// Last is the newest scheduled time that is not after now; ok is false when there is none ever.
func (s Schedule) Last(now time.Time) (at time.Time, ok bool) {
	if !s.set {
		return at, false
	}
	now = now.UTC()
	at = time.Date(now.Year(), now.Month(), now.Day(), s.minute/60, s.minute%60, 0, 0, time.UTC)
	for at.After(now) || s.weekly && at.Weekday() != s.day {
		at = at.AddDate(0, 0, -1)
	}
	return at, true
}
