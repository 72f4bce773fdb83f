package telemetry

import (
	"fmt"
	"strconv"
	"strings"
)

// Card is a graphics card with a sensor.
type Card struct {
	Bus    Bus
	Name   string
	UUID   string
	Sensor Sensor
}

// Bus is where a card sits on the PCI bus: what both OpenCL and the vendor's
// library know of it.
type Bus struct{ Domain, Bus, Device uint32 }

// ParseBus reads domain:bus:device.function in hex, as in 00000000:3B:00.0, or
// without the domain.
func ParseBus(s string) (Bus, error) {
	place, _, _ := strings.Cut(s, ".")
	parts := strings.Split(place, ":")
	if len(parts) == 2 {
		parts = append([]string{"0"}, parts...)
	}
	var n [3]uint32
	if len(parts) != len(n) {
		return Bus{}, fmt.Errorf("PCI address %.40q is not domain:bus:device", s)
	}
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 16, 32)
		if err != nil {
			return Bus{}, fmt.Errorf("PCI address %.40q: %w", s, err)
		}
		n[i] = uint32(v)
	}
	return Bus{n[0], n[1], n[2]}, nil
}

func (b Bus) String() string { return fmt.Sprintf("%04x:%02x:%02x", b.Domain, b.Bus, b.Device) }
