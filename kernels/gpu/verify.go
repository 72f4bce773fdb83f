package gpu

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"github.com/adit-pool/adit/kernels"
)

// Report tells how the verification of a program on a device went.
type Report struct {
	Time      time.Time `json:"time"`
	System    string    `json:"system"` // such as "linux/amd64"
	Algorithm string    `json:"algorithm"`
	Source    string    `json:"source"` // fingerprint of the program
	Platform  string    `json:"platform"`
	Device    string    `json:"device"`
	Vendor    string    `json:"vendor"`
	Driver    string    `json:"driver"`
	Kind      string    `json:"kind"`
	Units     int       `json:"units"`
	Memory    uint64    `json:"memory"`
	Items     uint64    `json:"items"` // as tuned
	Group     uint64    `json:"group"`
	Ranges    int       `json:"ranges"` // compared with the CPU
	Nonces    uint64    `json:"nonces"` // in them
	Found     int       `json:"found"`
	Rate      float64   `json:"hashes_per_second"` // of the device alone
	Error     string    `json:"error,omitempty"`   // empty: verified
}

// String is the report as a text to read and to send.
func (r Report) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("result", "%s", map[bool]string{true: "verified", false: "FAILED: " + r.Error}[r.Error == ""])
	line("algorithm", "%s, program %s", r.Algorithm, r.Source)
	line("device", "%s (%s), %d units, %d MiB", r.Device, r.Kind, r.Units, r.Memory>>20)
	line("driver", "%s, %s, %s", r.Driver, r.Platform, r.Vendor)
	line("compared", "%d ranges, %d nonces, %d found", r.Ranges, r.Nonces, r.Found)
	line("speed", "%.0f hashes/s, launches of %d in groups of %d", r.Rate, r.Items, r.Group)
	line("system", "%s, %s", r.System, r.Time.Format(time.RFC3339))
	return b.String()
}

// Verify compares p on d with the CPU for about the given time: random headers,
// ranges of odd lengths, first and last nonces, targets that few and many nonces
// meet. The report is complete as far as it went even when there is an error,
// which it holds too. When ctx ends, the device is not verified.
func (l *Library) Verify(ctx context.Context, d Device, p kernels.Program, about time.Duration) (Report, error) {
	r := Report{
		Time: time.Now().UTC(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Algorithm: p.Kernel.Name(), Source: fingerprint(p), Platform: d.Platform, Device: d.Name, Vendor: d.Vendor,
		Driver: d.Driver, Kind: d.Kind, Units: d.Units, Memory: d.Memory,
	}
	err := l.verify(ctx, d, p, about, &r)
	if err != nil {
		r.Error = err.Error()
	}
	return r, err
}

func (l *Library) verify(ctx context.Context, d Device, p kernels.Program, about time.Duration, r *Report) error {
	s, err := l.Open(d, p, Size{})
	if err != nil {
		return err
	}
	defer s.Close()
	r.Items, r.Group = s.size.Items, s.size.Group
	var none [32]byte
	began := time.Now()
	for time.Since(began) < about/4 { // the speed, with nothing to be found
		count := 4 * s.size.Items
		if _, err := s.Scan(ctx, new([kernels.HeaderSize]byte), 0, count, &none, nil); err != nil {
			return err
		}
		r.Nonces += count
	}
	r.Rate = float64(r.Nonces) / time.Since(began).Seconds()
	r.Nonces = 0

	rng := rand.New(rand.NewPCG(uint64(began.UnixNano()), 0))
	s.mu.Lock()
	defer s.mu.Unlock()
	// Ranges begin small and grow for as long as each takes a small part of the time.
	count := s.size.Group + 1
	for began = time.Now(); time.Since(began) < about || r.Ranges < 4; r.Ranges++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verify %v: %w", d, err)
		}
		var header [kernels.HeaderSize]byte
		for i := range header {
			header[i] = byte(rng.Uint32())
		}
		first := rng.Uint32()
		switch r.Ranges % 8 {
		case 0:
			first = 0
		case 1:
			first = uint32(-int64(count)) // to the last nonce
		}
		// One nonce of 16 to one of 4096, so that the list of finds overflows too.
		var target [32]byte
		binary.BigEndian.PutUint16(target[:], 0x1000>>(r.Ranges%9))
		start := time.Now()
		found, err := s.compare(&header, first, count, &target)
		if err != nil {
			s.failed = err
			return err
		}
		r.Found += found
		r.Nonces += kernels.Clip(first, count)
		if time.Since(start) < about/16 && count < 1<<28 {
			count = count*2 + 1
		}
	}
	return nil
}

// fingerprint is the same for the same program.
func fingerprint(p kernels.Program) string {
	sum := sha256.Sum256([]byte(p.Source))
	return fmt.Sprintf("%x", sum[:8])
}
