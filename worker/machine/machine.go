// Package machine finds what this machine has to mine with: its processors and
// its OpenCL cards, with their sensors. A card whose results nobody has compared
// with the processor's on such a driver is unverified and is left alone unless it
// is asked for by name.
package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/all"
	"github.com/adit-pool/adit/kernels/gpu"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/worker"
	"github.com/adit-pool/adit/worker/telemetry"
)

// Machine is what there is for one proof of work. One goroutine owns it.
type Machine struct {
	kernel  kernels.Kernel
	program kernels.Program
	library *gpu.Library // nil: no OpenCL
	records *gpu.Records // nil: cannot be read
	parts   []Part
	nvidia  *telemetry.NVIDIA // nil: none
	sensor  telemetry.Sensor  // of the processors; nil: none
	notes   []string
	open    []*card
}

// Part is a processor or a card.
type Part struct {
	Name     string // how a user names it: "cpu", "gpu0"
	Model    string
	Path     string // the implementation that searches
	Kind     string // "cpu", or what OpenCL calls it
	Driver   string // of a card
	Off      string // why it cannot be used at all
	Verified bool
	Sensor   telemetry.Sensor

	card gpu.Device
}

// Look finds the parts that can search by an algorithm, "sha256d" or "scrypt".
// What the machine lacks is no error: Notes tell of it.
func Look(algorithm string) (*Machine, error) {
	kernel, err := all.Named(algorithm)
	if err != nil {
		return nil, err
	}
	m := &Machine{kernel: kernel}
	cpu, err := telemetry.NewCPU(os.DirFS("/sys"))
	if err != nil {
		m.note(err)
	} else {
		m.sensor = cpu
	}
	m.parts = []Part{{
		Name: "cpu", Kind: "cpu", Model: processor(), Path: fastest(kernel.Name()), Verified: true, Sensor: m.sensor,
	}}
	if m.program, err = all.Program(algorithm); err != nil {
		m.note(err)
		return m, nil
	}
	m.lookForCards()
	return m, nil
}

// Kernel is the algorithm on the processor.
func (m *Machine) Kernel() kernels.Kernel { return m.kernel }

func (m *Machine) lookForCards() {
	var err error
	if m.library, err = gpu.Load(""); err != nil {
		m.note(err)
		return
	}
	cards, err := m.library.Devices()
	if err != nil {
		m.note(err)
	}
	file, err := gpu.RecordsFile()
	if err == nil {
		m.records, err = gpu.OpenRecords(file)
	}
	if err != nil {
		m.note(err)
	}
	if m.nvidia, err = telemetry.OpenNVIDIA(); err != nil && slices.ContainsFunc(cards, nvidia) {
		m.note(err)
	}
	for _, d := range cards {
		m.parts = append(m.parts, Part{
			Name: fmt.Sprintf("gpu%d", d.Index), Kind: d.Kind, Model: d.Name, Driver: d.Platform + " " + d.Driver, Path: "opencl",
			Off: d.Off, Verified: m.records != nil && m.records.Verified(d, m.program), Sensor: m.sensorOf(d), card: d,
		})
	}
}

func nvidia(d gpu.Device) bool { return strings.Contains(strings.ToLower(d.Vendor), "nvidia") }

// sensorOf finds the sensor of a card by its place on the bus.
func (m *Machine) sensorOf(d gpu.Device) telemetry.Sensor {
	if d.Kind == "cpu" {
		return m.sensor
	}
	bus, err := telemetry.ParseBus(d.Bus)
	if err != nil || m.nvidia == nil {
		return nil
	}
	for _, card := range m.nvidia.Cards() {
		if card.Bus == bus {
			return card.Sensor
		}
	}
	return nil
}

func (m *Machine) note(err error) {
	m.notes = append(m.notes, strings.Split(err.Error(), "\n")...)
}

// Parts are the processors first, then the cards.
func (m *Machine) Parts() []Part { return m.parts }

// Notes say what is missing here, for a person.
func (m *Machine) Notes() []string { return m.notes }

// named finds a part.
func (m *Machine) named(name string) (Part, error) {
	var names []string
	for _, p := range m.parts {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Part{}, fmt.Errorf("no device is named %q; there are %s", name, strings.Join(names, ", "))
}

// Tuning is how devices are used.
type Tuning struct {
	Threads   int   // of the processor; 0: one for each CPU
	CPUs      []int // that its threads are bound to, in turn; nil: any
	Intensity int   // percent, 0: 100
	Limit     float64
}

// Devices readies the parts named, for worker.Run. Without names these are the
// processor and every verified card that is no processor itself: OpenCL on a
// processor would compete with its threads. A part asked for by name must be
// usable and verified.
func (m *Machine) Devices(names []string, tuning Tuning) ([]worker.Device, error) {
	var chosen []Part
	if len(names) == 0 {
		for _, p := range m.parts {
			if p.Name == "cpu" || p.Off == "" && p.Verified && p.Kind != "cpu" {
				chosen = append(chosen, p)
			}
		}
	}
	for _, name := range names {
		p, err := m.named(name)
		switch {
		case err != nil:
			return nil, err
		case p.Off != "":
			return nil, fmt.Errorf("device %s (%s) cannot be used: %s", p.Name, p.Model, p.Off)
		case !p.Verified:
			return nil, fmt.Errorf("device %s (%s) is not verified: run adit mine --algorithm %s --verify-device %s first",
				p.Name, p.Model, m.kernel.Name(), p.Name)
		}
		chosen = append(chosen, p)
	}
	var devices []worker.Device
	for _, p := range chosen {
		d := worker.Device{Search: nil}
		if p.Name == "cpu" {
			threads := tuning.Threads
			if threads == 0 {
				threads = runtime.GOMAXPROCS(0)
			}
			d = worker.CPU(m.kernel, threads)
			d.CPUs = tuning.CPUs
		} else {
			c := &card{library: m.library, device: p.card, program: m.program}
			m.open = append(m.open, c)
			d.Search = c
		}
		d.Name, d.Model, d.Path, d.Sensor = p.Name, p.Model, p.Path, p.Sensor
		d.Intensity, d.Limit = tuning.Intensity, tuning.Limit
		devices = append(devices, d)
	}
	return devices, nil
}

// Verify compares a card's results with the processor's for about a time and
// keeps the report. The report is there even when the error says that the card
// failed.
func (m *Machine) Verify(ctx context.Context, name string, about time.Duration) (gpu.Report, error) {
	p, err := m.named(name)
	switch {
	case err != nil:
		return gpu.Report{}, err
	case p.Name == "cpu":
		return gpu.Report{}, errors.New("the processor is what others are compared with: it needs no verification")
	case p.Off != "":
		return gpu.Report{}, fmt.Errorf("device %s (%s) cannot be used: %s", p.Name, p.Model, p.Off)
	case m.records == nil:
		return gpu.Report{}, errors.New("the records of verified devices cannot be read")
	}
	report, failed := m.library.Verify(ctx, p.card, m.program, about)
	if ctx.Err() != nil {
		return report, failed
	}
	return report, errors.Join(failed, m.records.Add(report))
}

// Close gives back what the devices hold; nothing may search any more.
func (m *Machine) Close() {
	for _, c := range m.open {
		c.close()
	}
	if m.nvidia != nil {
		m.nvidia.Close()
	}
}

// processor is the name of the processor.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}

// fastest names the implementation that searches on the processor, and the one that
// searches several versions when that is another.
func fastest(kernel string) string {
	switch kernel {
	case "sha256d":
		one, several := sha256d.Fastest().Name, sha256d.FastestRolling().Name
		if one == several {
			return one
		}
		return one + ", rolling " + several
	case "scrypt":
		return scrypt.Fastest().Name
	}
	return ""
}
