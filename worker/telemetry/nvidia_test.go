//go:build linux && cgo

package telemetry

import (
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
)

// server is the vendor's mock of a machine with eight A100, with sensors.
func server(t *testing.T) (*dgxa100.Server, *NVIDIA) {
	t.Helper()
	s := dgxa100.New()
	for i, d := range s.Devices {
		d := d.(*dgxa100.Device)
		d.GetPciInfoFunc = func() (nvml.PciInfo, nvml.Return) { return nvml.PciInfo{Bus: uint32(i)}, nvml.SUCCESS }
		d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return uint32(40 + i), nvml.SUCCESS }
		d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return uint32(300_500 + i), nvml.SUCCESS }
		d.GetFanSpeedFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED } // cooled by the rack
	}
	n, err := openNVIDIA(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return s, n
}

func TestNVIDIACards(t *testing.T) {
	_, n := server(t)
	cards := n.Cards()
	if len(cards) != 8 {
		t.Fatalf("%d cards", len(cards))
	}
	for i, c := range cards {
		if c.Bus != (Bus{0, uint32(i), 0}) || c.Name != "Mock NVIDIA A100-SXM4-40GB" || !strings.HasPrefix(c.UUID, "GPU-") {
			t.Errorf("card %d: %+v", i, c)
		}
		r, err := c.Sensor.Read()
		if err != nil || *r.Temperature != float64(40+i) || *r.Power != 300.5+float64(i)/1000 || r.Fan != nil {
			t.Errorf("card %d: %+v, %v", i, r, err)
		}
	}
}

func TestNVIDIACardLost(t *testing.T) {
	s, n := server(t)
	d := s.Devices[3].(*dgxa100.Device)
	d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	r, err := n.Cards()[3].Sensor.Read()
	if err == nil || !strings.Contains(err.Error(), "read power") || r.Power != nil || r.Temperature == nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := n.Cards()[4].Sensor.Read(); err != nil {
		t.Errorf("the card beside it: %v", err)
	}

	s.DeviceGetHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i == 0 {
			return nil, nvml.ERROR_GPU_IS_LOST
		}
		return s.Devices[i], nvml.SUCCESS
	}
	again, err := openNVIDIA(s)
	if err != nil || len(again.Cards()) != 7 {
		t.Errorf("%v: %d cards of the 7 left", err, len(again.Cards()))
	}
}

func TestNVIDIARefuses(t *testing.T) {
	s := dgxa100.New()
	s.InitFunc = func() nvml.Return { return nvml.ERROR_LIBRARY_NOT_FOUND }
	if _, err := openNVIDIA(s); err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("%v", err)
	}
	s = dgxa100.New()
	closed := false
	s.ShutdownFunc = func() nvml.Return { closed = true; return nvml.SUCCESS }
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	if _, err := openNVIDIA(s); err == nil || !closed {
		t.Errorf("%v, closed %v", err, closed)
	}
}

// The real library, where it is not installed, gives an error and no more.
func TestNVIDIALibrary(t *testing.T) {
	n, err := OpenNVIDIA()
	if err != nil {
		if !strings.Contains(err.Error(), "no telemetry of NVIDIA cards") {
			t.Error(err)
		}
		return
	}
	defer n.Close()
	for _, c := range n.Cards() {
		r, err := c.Sensor.Read()
		t.Logf("%v %s: %+v, %v", c.Bus, c.Name, r, err)
	}
}
