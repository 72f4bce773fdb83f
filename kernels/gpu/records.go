package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/adit-pool/adit/kernels"
)

// Records are the reports of verified devices, in a file. A device is known by
// its name, platform and driver: another card of the same kind is verified with
// it, and after an update of the driver it has to be verified again.
type Records struct {
	path    string
	reports []Report
}

// RecordsFile is where a user's records are: adit/devices.json in the system's
// place for configuration.
func RecordsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the records of verified devices: %w", err)
	}
	return filepath.Join(dir, "adit", "devices.json"), nil
}

// OpenRecords reads the file at path; one that is not there is empty.
func OpenRecords(path string) (*Records, error) {
	const most = 1 << 20
	r := &Records{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	} else if err != nil {
		return nil, fmt.Errorf("open the records of verified devices: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err == nil {
		err = json.Unmarshal(text, &r.reports)
	}
	if err != nil {
		return nil, fmt.Errorf("read the records of verified devices in %s: %w", path, err)
	}
	return r, nil
}

// Verified tells whether p was verified on such a device.
func (r *Records) Verified(d Device, p kernels.Program) bool {
	for _, report := range r.reports {
		if report.Error == "" && report.concerns(d, p) {
			return true
		}
	}
	return false
}

// Add keeps report in place of earlier ones of the same device and program, and
// writes the file. A failed one takes an earlier success away.
func (r *Records) Add(report Report) error {
	kept := []Report{report}
	for _, old := range r.reports {
		if !old.same(report) {
			kept = append(kept, old)
		}
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(r.path), 0o755)
	}
	if err == nil {
		err = replace(r.path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the records of verified devices: %w", err)
	}
	r.reports = kept
	return nil
}

// replace writes a file in one step.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".devices-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (r Report) concerns(d Device, p kernels.Program) bool {
	return r.same(Report{
		Algorithm: p.Kernel.Name(), Source: fingerprint(p),
		Platform: d.Platform, Device: d.Name, Vendor: d.Vendor, Driver: d.Driver,
	})
}

func (r Report) same(o Report) bool {
	return r.Algorithm == o.Algorithm && r.Source == o.Source && r.Platform == o.Platform &&
		r.Device == o.Device && r.Vendor == o.Vendor && r.Driver == o.Driver
}
