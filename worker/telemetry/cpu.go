package telemetry

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CPU watches the processors of this machine: the power of all packages from
// /sys/class/powercap (RAPL; on most systems only root may read it) and the
// highest package temperature from /sys/class/hwmon.
type CPU struct {
	sys      fs.FS // /sys
	now      func() time.Time
	packages []*energy
	inputs   []string // temp*_input files
}

// energy is a RAPL counter of a package.
type energy struct {
	file string
	wrap uint64 // microjoules at which it begins anew
	last uint64
	at   time.Time // zero: not read yet
}

// NewCPU looks for what can be read under sys, which is os.DirFS("/sys") outside
// tests. It gives nil, and why, when there is nothing.
func NewCPU(sys fs.FS) (*CPU, error) {
	c := &CPU{sys: sys, now: time.Now}
	power, heat := c.findPackages(), c.findInputs()
	if len(c.packages)+len(c.inputs) > 0 {
		return c, nil
	}
	return nil, errors.Join(power, heat)
}

// findPackages keeps the top-level zones named package-N, whose counters do not
// hold one another's energy.
func (c *CPU) findPackages() error {
	zones, err := fs.Glob(c.sys, "class/powercap/intel-rapl:*")
	if err != nil || len(zones) == 0 {
		return errors.New("no processor power: the system has no powercap zones")
	}
	var failed error
	for _, zone := range zones {
		name, err := text(c.sys, path.Join(zone, "name"))
		if err != nil || !strings.HasPrefix(name, "package-") || strings.Count(path.Base(zone), ":") != 1 {
			continue
		}
		e := &energy{file: path.Join(zone, "energy_uj")}
		if _, err := number(c.sys, e.file); err != nil {
			failed = fmt.Errorf("no processor power: %w", err)
			continue
		}
		if e.wrap, err = number(c.sys, path.Join(zone, "max_energy_range_uj")); err != nil {
			e.wrap = 0
		}
		c.packages = append(c.packages, e)
	}
	return failed
}

// sensors are the hwmon drivers of processors.
var sensors = []string{"coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal"}

// findInputs keeps, of each processor's sensor, those of the whole package, or
// all when none is labelled so.
func (c *CPU) findInputs() error {
	chips, err := fs.Glob(c.sys, "class/hwmon/hwmon*")
	if err != nil || len(chips) == 0 {
		return errors.New("no processor temperature: the system has no hwmon sensors")
	}
	for _, chip := range chips {
		name, err := text(c.sys, path.Join(chip, "name"))
		if err != nil || !slices.Contains(sensors, name) {
			continue
		}
		inputs, err := fs.Glob(c.sys, path.Join(chip, "temp*_input"))
		if err != nil {
			continue
		}
		var whole, each []string
		for _, input := range inputs {
			if _, err := celsius(c.sys, input); err != nil {
				continue
			}
			label, err := text(c.sys, strings.TrimSuffix(input, "_input")+"_label")
			if err == nil && (strings.HasPrefix(label, "Package") || label == "Tctl" || label == "Tdie") {
				whole = append(whole, input)
			}
			each = append(each, input)
		}
		if len(whole) > 0 {
			each = whole
		}
		c.inputs = append(c.inputs, each...)
	}
	if len(c.inputs) == 0 {
		return errors.New("no processor temperature: no hwmon sensor is a processor's")
	}
	return nil
}

// Read gives the power since the last Read, none at the first, and the
// temperature now.
func (c *CPU) Read() (Reading, error) {
	var r Reading
	var failed []error
	watts, known := 0.0, len(c.packages) > 0
	for _, p := range c.packages {
		w, err := p.watts(c.sys, c.now())
		if err != nil {
			failed = append(failed, err)
		}
		if math.IsNaN(w) {
			known = false
		}
		watts += w
	}
	if known {
		r.Power = value(watts)
	}
	for _, input := range c.inputs {
		t, err := celsius(c.sys, input)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if r.Temperature == nil || t > *r.Temperature {
			r.Temperature = value(t)
		}
	}
	return r, errors.Join(failed...)
}

// watts is the mean power since the last call; NaN when there is none to tell.
func (e *energy) watts(sys fs.FS, now time.Time) (float64, error) {
	count, err := number(sys, e.file)
	if err != nil {
		e.at = time.Time{}
		return math.NaN(), fmt.Errorf("read processor energy: %w", err)
	}
	last, at := e.last, e.at
	e.last, e.at = count, now
	spent := count - last
	if count < last { // wrapped, or set back
		if last > e.wrap {
			return math.NaN(), nil
		}
		spent = e.wrap - last + count
	}
	seconds := now.Sub(at).Seconds()
	if at.IsZero() || seconds <= 0 {
		return math.NaN(), nil
	}
	return float64(spent) / 1e6 / seconds, nil
}

func text(sys fs.FS, file string) (string, error) {
	b, err := fs.ReadFile(sys, file)
	return strings.TrimSpace(string(b)), err
}

func number(sys fs.FS, file string) (uint64, error) {
	s, err := text(sys, file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}

// celsius reads thousandths of a degree.
func celsius(sys fs.FS, input string) (float64, error) {
	s, err := text(sys, input)
	if err != nil {
		return 0, fmt.Errorf("read processor temperature: %w", err)
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read processor temperature: %s: %w", input, err)
	}
	return float64(n) / 1000, nil
}
