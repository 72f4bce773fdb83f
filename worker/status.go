package worker

import "time"

// PoolStatus is the connection.
type PoolStatus struct {
	Address    string        `json:"address"`
	User       string        `json:"user,omitempty"`
	TLS        bool          `json:"tls"`
	Index      int           `json:"index"` // in the list of pools; 0 is the first
	Since      time.Time     `json:"since,omitzero"`
	LoggedIn   bool          `json:"logged_in"`
	Difficulty string        `json:"difficulty,omitempty"` // of the last job, as the pool wrote it
	Job        string        `json:"job,omitempty"`
	JobTime    time.Time     `json:"job_time,omitzero"`
	Latency    time.Duration `json:"latency_nanoseconds,omitempty"` // of the last share's answer
	Why        string        `json:"why,omitempty"`                 // there is no connection
}

// Connected tells whether there is a connection.
func (p PoolStatus) Connected() bool { return !p.Since.IsZero() }

// Status is all there is to know of a rig.
type Status struct {
	Time    time.Time      `json:"time"`
	Started time.Time      `json:"started,omitzero"`
	Kernel  string         `json:"algorithm"`
	Pool    PoolStatus     `json:"pool"`
	Counts  Counts         `json:"counts"`
	Devices []DeviceStatus `json:"devices"`
}

// Uptime is how long the rig has run.
func (s Status) Uptime() time.Duration {
	if s.Started.IsZero() {
		return 0
	}
	return s.Time.Sub(s.Started)
}

// Power is what all devices draw that tell it; false when none does.
func (s Status) Power() (watts float64, known bool) {
	for _, d := range s.Devices {
		if d.Power != nil {
			watts, known = watts+*d.Power, true
		}
	}
	return watts, known
}

// JoulesPerHash is over the devices that tell their power.
func (s Status) JoulesPerHash() (float64, bool) {
	watts, hashrate := 0.0, 0.0
	for _, d := range s.Devices {
		if d.Power != nil {
			watts, hashrate = watts+*d.Power, hashrate+d.Hashrate
		}
	}
	if watts == 0 || hashrate <= 0 {
		return 0, false
	}
	return watts / hashrate, true
}

// Status is what the rig does now.
func (s *Stats) Status() Status {
	now := time.Now()
	counts := s.Counts()
	s.mu.Lock()
	out := Status{Time: now, Started: s.rate.started, Kernel: s.kernel, Pool: s.poolNow, Counts: counts}
	devices := s.devices
	s.mu.Unlock()
	for _, d := range devices {
		out.Devices = append(out.Devices, d.status(now))
	}
	return out
}

// pool changes what is known of the connection.
func (s *Stats) pool(change func(*PoolStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.poolNow)
}
