package view

import (
	"fmt"
	"time"

	"github.com/adit-pool/adit/worker"
)

// Line is what a person wants to know of e; "" when it is nothing.
func Line(e worker.Event) string {
	text := ""
	switch e.Kind {
	case worker.Connected:
		text = "connected to " + e.Text
	case worker.LoggedIn:
		text = "logged in"
	case worker.Accepted:
		text = fmt.Sprintf("accepted, difficulty %s, %s", e.Share.Difficulty, e.Device)
	case worker.Rejected:
		text = fmt.Sprintf("rejected: %s, %s", reason(worker.Reject{Code: e.Code, Reason: e.Text}), e.Device)
	case worker.Lost:
		text = "a share was sent and never answered, " + e.Device
	case worker.Message:
		text = fmt.Sprintf("the pool says: %q", e.Text)
	case worker.Disconnected:
		text = "disconnected: " + e.Text
	case worker.DeviceFailed:
		text = fmt.Sprintf("%s failed, will be tried again: %s", e.Device, e.Text)
	case worker.DeviceDisabled:
		text = fmt.Sprintf("%s is disabled: %s", e.Device, e.Text)
	case worker.DeviceThrottled:
		text = fmt.Sprintf("%s is too warm and slowed down: %s", e.Device, e.Text)
	case worker.DeviceResumed:
		text = e.Device + " is cool and at full speed again"
	default:
		return ""
	}
	return e.Time.Format(time.TimeOnly) + " " + text
}

// Summary is one line about s.
func Summary(s worker.Status) string {
	c := s.Counts
	line := fmt.Sprintf("%s %s, %d accepted, %d rejected (%d stale), up %s",
		s.Time.Format(time.TimeOnly), Hashrate(c.Hashrate), c.Accepted, c.Rejected, c.Stale, duration(s.Uptime()))
	if watts, known := s.Power(); known {
		line += fmt.Sprintf(", %.0f W", watts)
	}
	if j, known := s.JoulesPerHash(); known {
		line += ", " + scaled(j, "J/H")
	}
	if len(s.Devices) > 1 {
		for _, d := range s.Devices {
			line += fmt.Sprintf("; %s %s", d.Name, Hashrate(d.Hashrate))
			if d.State != worker.Searching {
				line += " (" + state(d) + ")"
			}
		}
	}
	return line
}
