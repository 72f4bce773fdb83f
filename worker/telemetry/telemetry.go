// Package telemetry reads what a rig's parts draw and how warm they are: the
// processor from Linux' powercap (RAPL) and hwmon files, NVIDIA cards from the
// vendor's library. Each source is optional; what cannot be read is left out
// and never guessed.
package telemetry

// Reading is what a sensor said; nil is what it did not say.
type Reading struct {
	Temperature *float64 `json:"temperature_celsius,omitempty"`
	Power       *float64 `json:"power_watts,omitempty"`
	Fan         *float64 `json:"fan_percent,omitempty"` // of its full speed
}

// Empty tells whether nothing was read.
func (r Reading) Empty() bool { return r.Temperature == nil && r.Power == nil && r.Fan == nil }

// Sensor watches one device. One goroutine at a time may call it.
type Sensor interface {
	// Read takes a reading now. An error may come with what could be read.
	Read() (Reading, error)
}

func value(v float64) *float64 { return &v }
