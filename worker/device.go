package worker

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/worker/telemetry"
)

// Searcher tries nonces: a CPU thread's kernel, or a card.
type Searcher interface {
	// Scan is Scan of kernels.Kernel for a device that may fail. What was found
	// before an error stands.
	Scan(ctx context.Context, header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(nonce uint32) bool) (hashes uint64, err error)
}

// VersionSearcher is a Searcher that tries nonces in several versions of a header
// at once.
type VersionSearcher interface {
	Searcher
	// ScanVersions is that of kernels.Rolling for a device that may fail.
	ScanVersions(ctx context.Context, header *[kernels.HeaderSize]byte, versions []uint32, first uint32, count uint64, target *[32]byte, found func(nonce uint32, version int) bool) (nonces uint64, err error)
}

// Device is a part of the rig that is counted, warms up and fails on its own.
type Device struct {
	Name    string // how it is shown and named: "cpu", "gpu0"
	Model   string
	Path    string // which implementation searches, such as "shani-4x"
	Search  Searcher
	Threads int // that call Search; 0 is one

	// CPUs are the processors that its threads are bound to, in turn; nil: any.
	CPUs []int

	// Intensity is the percentage of the time that it searches, 1 to 100; 0 is 100.
	Intensity int

	// Limit is the temperature in °C at which it is slowed down; 0: none.
	Limit  float64
	Sensor telemetry.Sensor // nil: nothing to read
}

// CPU is the processor of this machine: kernel on a number of threads.
func CPU(kernel kernels.Kernel, threads int) Device {
	d := Device{Name: "cpu", Search: cpu{kernel}, Threads: threads}
	if rolling, ok := kernel.(kernels.Rolling); ok {
		d.Search = rollingCPU{cpu{kernel}, rolling}
	}
	return d
}

// cpu never fails. It is what other devices are judged by.
type cpu struct{ kernels.Kernel }

func (cpu) judge() {}

// rollingCPU is a cpu whose kernel searches several versions at once.
type rollingCPU struct {
	cpu
	rolling kernels.Rolling
}

func (c rollingCPU) ScanVersions(_ context.Context, header *[kernels.HeaderSize]byte, versions []uint32, first uint32, count uint64, target *[32]byte, found func(uint32, int) bool) (uint64, error) {
	return c.rolling.ScanVersions(header, versions, first, count, target, found), nil
}

func (c cpu) Scan(_ context.Context, header *[kernels.HeaderSize]byte, first uint32, count uint64, target *[32]byte, found func(uint32) bool) (uint64, error) {
	return c.Kernel.Scan(header, first, count, target, found), nil
}

const (
	maxStrikes   = 8                // errors before a device is disabled
	forgiveAfter = 10 * time.Minute // one strike
	tooQuiet     = 30               // shares expected without one: e^-30
	coolBy       = 5                // °C below the limit before a device is sped up
	leastDuty    = 10               // percent; slowed below it, a device rests
)

// State is what a device does.
type State string

// The states of a device.
const (
	Searching State = "searching"
	Throttled State = "throttled" // slowed down or resting: too warm
	Disabled  State = "disabled"  // failed too often
)

// device is a Device at work. Its threads, its watcher and who asks for its
// status share it.
type device struct {
	Device
	ended chan struct{} // closed when disabled

	mu       sync.Mutex
	state    State
	why      string // it is not searching
	duty     int    // percent of the time; 0: rests until woken
	woken    chan struct{}
	strikes  int
	struck   time.Time
	errors   uint64
	hashes   uint64
	rate     rate
	expected float64 // shares since the last one found
	scans    map[int]time.Time
	verdicts verdicts
	reading  telemetry.Reading
}

// verdicts are the pool's answers to the shares of one device.
type verdicts struct{ accepted, rejected, stale uint64 }

func newDevice(d Device, now time.Time) *device {
	d.Threads = max(d.Threads, 1)
	if d.Intensity == 0 {
		d.Intensity = 100
	}
	return &device{
		Device: d, ended: make(chan struct{}), state: Searching, duty: d.Intensity,
		woken: make(chan struct{}), rate: rate{started: now}, scans: map[int]time.Time{},
	}
}

func (d *device) check() error {
	switch {
	case d.Name == "" || d.Search == nil:
		return fmt.Errorf("device %q: no name or nothing that searches", d.Name)
	case d.Intensity < 1 || d.Intensity > 100:
		return fmt.Errorf("device %s: intensity %d, want 1 to 100 percent", d.Name, d.Intensity)
	case d.Limit < 0 || math.IsNaN(d.Limit):
		return fmt.Errorf("device %s: temperature limit %v °C", d.Name, d.Limit)
	}
	return nil
}

// ready waits while the device rests. It gives false when it is disabled or ctx
// has ended.
func (d *device) ready(ctx context.Context) bool {
	for {
		d.mu.Lock()
		duty, state, woken := d.duty, d.state, d.woken
		d.mu.Unlock()
		if state == Disabled || ctx.Err() != nil {
			return false
		}
		if duty > 0 {
			return true
		}
		select {
		case <-woken:
		case <-d.ended:
		case <-ctx.Done():
		}
	}
}

// rest makes up for a search that took so long, at less than full duty.
func (d *device) rest(ctx context.Context, took time.Duration) {
	d.mu.Lock()
	duty := d.duty
	d.mu.Unlock()
	if duty <= 0 || duty >= 100 {
		return
	}
	wait(ctx, took*time.Duration(100-duty)/time.Duration(duty), d.ended)
}

// begin and done enclose a scan, so that one without an end is noticed.
func (d *device) begin(thread int, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scans[thread] = now
}

func (d *device) done(thread int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.scans, thread)
}

// stuck is for how long the longest scan has run.
func (d *device) stuck(now time.Time) (longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, since := range d.scans {
		longest = max(longest, now.Sub(since))
	}
	return longest
}

// searched counts hashes at a target. A device that reports none of many shares
// computes something else: its error is returned. The CPU is what others are
// judged by and not suspected.
func (d *device) searched(hashes uint64, target *[32]byte, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hashes += hashes
	d.rate.add(hashes, now)
	if _, judge := d.Search.(interface{ judge() }); judge {
		return nil
	}
	d.expected += float64(hashes) * chance(target)
	if d.expected < tooQuiet {
		return nil
	}
	d.expected = 0
	return fmt.Errorf("found none of the %d shares to be expected", tooQuiet)
}

// found notes a share that the CPU agrees with.
func (d *device) found() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expected = 0
	d.strikes = max(d.strikes-1, 0)
}

// chance is the probability that a hash is at most target.
func chance(target *[32]byte) float64 {
	p := 0.0
	for i := len(target) - 1; i >= 0; i-- {
		p = (p + float64(target[i])) / 256
	}
	return p
}

// strike counts an error. Each share found and each ten minutes forgive one;
// at the limit the device is disabled, of which disabled tells once.
func (d *device) strike(err error, now time.Time) (strikes int, disabled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors++
	if d.state == Disabled {
		return 0, false
	}
	forgiven := int(now.Sub(d.struck) / forgiveAfter)
	if d.struck.IsZero() {
		forgiven = 0
	}
	d.strikes = max(d.strikes-forgiven, 0) + 1
	d.struck = now
	if d.strikes >= maxStrikes {
		d.disable(fmt.Sprintf("%d errors, the last: %v", d.strikes, err))
		return 0, true
	}
	return d.strikes, false
}

// disable ends the device's work for good; mu is held.
func (d *device) disable(why string) {
	d.state, d.why, d.duty = Disabled, why, 0
	close(d.ended)
}

// giveUp disables a device that does not come back from a scan.
func (d *device) giveUp(why string) (disabled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == Disabled {
		return false
	}
	d.errors++
	d.disable(why)
	return true
}

// measured takes a reading and, by its temperature, slows the device down or
// speeds it up again: at the limit its duty is halved with each reading, below
// the least it rests; coolBy below the limit it is doubled. changed is the new
// state when it is another.
func (d *device) measured(r telemetry.Reading) (changed State, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reading = r
	if d.Limit == 0 || d.state == Disabled {
		return "", ""
	}
	before, duty := d.state, d.duty
	switch {
	case r.Temperature == nil: // as it is
	case *r.Temperature >= d.Limit:
		if d.duty /= 2; d.duty < leastDuty {
			d.duty = 0
		}
		d.why = fmt.Sprintf("%.0f °C, limit %.0f °C", *r.Temperature, d.Limit)
	case *r.Temperature <= d.Limit-coolBy && d.duty < d.Intensity:
		d.duty = min(max(2*d.duty, leastDuty), d.Intensity)
	}
	d.state = Throttled
	if d.duty >= d.Intensity {
		d.state, d.why = Searching, ""
	}
	if duty == 0 && d.duty > 0 {
		close(d.woken)
		d.woken = make(chan struct{})
	}
	if d.state != before {
		return d.state, d.why
	}
	return "", ""
}

// answered counts the pool's verdict on a share.
func (d *device) answered(count func(*verdicts)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	count(&d.verdicts)
}

// DeviceStatus is what a device does and has done.
type DeviceStatus struct {
	Name     string  `json:"name"`
	Model    string  `json:"model,omitempty"`
	Path     string  `json:"path,omitempty"`
	State    State   `json:"state"`
	Why      string  `json:"why,omitempty"` // it is not searching at full speed
	Duty     int     `json:"duty_percent"`
	Hashes   uint64  `json:"hashes"`
	Hashrate float64 `json:"hashrate"` // hashes per second over the last 30 s
	Accepted uint64  `json:"accepted"`
	Rejected uint64  `json:"rejected"` // stale ones among them
	Stale    uint64  `json:"stale"`
	Errors   uint64  `json:"errors"`
	telemetry.Reading
}

// JoulesPerHash is the energy a hash costs; false when power or hashrate is not
// known.
func (s DeviceStatus) JoulesPerHash() (float64, bool) {
	if s.Power == nil || s.Hashrate <= 0 {
		return 0, false
	}
	return *s.Power / s.Hashrate, true
}

func (d *device) status(now time.Time) DeviceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return DeviceStatus{
		Name: d.Name, Model: d.Model, Path: d.Path, State: d.state, Why: d.why, Duty: d.duty,
		Hashes: d.hashes, Hashrate: d.rate.perSecond(now),
		Accepted: d.verdicts.accepted, Rejected: d.verdicts.rejected, Stale: d.verdicts.stale,
		Errors: d.errors, Reading: d.reading,
	}
}
