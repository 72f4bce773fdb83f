//go:build linux && cgo

package telemetry

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// NVIDIA watches NVIDIA cards through the driver's libnvidia-ml.so.1, which is
// looked for when the program runs.
type NVIDIA struct {
	library nvml.Interface
	cards   []Card
}

// OpenNVIDIA lists the cards. The error of a machine without the driver says so.
func OpenNVIDIA() (*NVIDIA, error) { return openNVIDIA(nvml.New()) }

func openNVIDIA(library nvml.Interface) (*NVIDIA, error) {
	if r := library.Init(); r != nvml.SUCCESS {
		return nil, fmt.Errorf("no telemetry of NVIDIA cards: start libnvidia-ml: %s", reason(r))
	}
	n := &NVIDIA{library: library}
	count, r := library.DeviceGetCount()
	if r != nvml.SUCCESS {
		n.Close()
		return nil, fmt.Errorf("no telemetry of NVIDIA cards: count them: %s", reason(r))
	}
	for i := range count {
		if card, ok := n.card(i); ok {
			n.cards = append(n.cards, card)
		}
	}
	return n, nil
}

// card describes the card with an index; one that has fallen off the bus is
// left out.
func (n *NVIDIA) card(i int) (Card, bool) {
	device, r := n.library.DeviceGetHandleByIndex(i)
	if r != nvml.SUCCESS {
		return Card{}, false
	}
	info, r := device.GetPciInfo()
	if r != nvml.SUCCESS {
		return Card{}, false
	}
	card := Card{Bus: Bus{info.Domain, info.Bus, info.Device}, Sensor: &nvidiaSensor{device}}
	if name, r := device.GetName(); r == nvml.SUCCESS {
		card.Name = name
	}
	if uuid, r := device.GetUUID(); r == nvml.SUCCESS {
		card.UUID = uuid
	}
	return card, true
}

// Cards are those there were at OpenNVIDIA.
func (n *NVIDIA) Cards() []Card { return n.cards }

// Close gives the library back; no sensor may be read after it.
func (n *NVIDIA) Close() { n.library.Shutdown() }

type nvidiaSensor struct{ device nvml.Device }

// Read asks for each figure; what a card does not have is left out without an
// error.
func (s *nvidiaSensor) Read() (Reading, error) {
	var r Reading
	var failed []error
	ask := func(what string, into **float64, scale float64, f func() (uint32, nvml.Return)) {
		switch v, code := f(); code {
		case nvml.SUCCESS:
			*into = value(float64(v) / scale)
		case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_FUNCTION_NOT_FOUND:
		default:
			failed = append(failed, fmt.Errorf("read %s: %s", what, reason(code)))
		}
	}
	ask("temperature", &r.Temperature, 1, func() (uint32, nvml.Return) { return s.device.GetTemperature(nvml.TEMPERATURE_GPU) })
	ask("power", &r.Power, 1000, s.device.GetPowerUsage) // milliwatts
	ask("fan", &r.Fan, 1, s.device.GetFanSpeed)
	return r, errors.Join(failed...)
}

// reason puts a code into words.
func reason(code nvml.Return) string {
	if code == nvml.ERROR_LIBRARY_NOT_FOUND {
		return "the library is not installed"
	}
	return code.Error()
}
