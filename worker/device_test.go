package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/sha256d"
	"github.com/adit-pool/adit/worker/telemetry"
)

// faulty is a device that does what a test tells it to.
type faulty struct {
	fault  atomic.Value // string
	calls  atomic.Int64
	block  chan struct{} // "hang" waits for its end
	search sha256d.Generic
}

func newFaulty(fault string) *faulty {
	f := &faulty{block: make(chan struct{})}
	f.fault.Store(fault)
	return f
}

func (f *faulty) Scan(_ context.Context, header *[80]byte, first uint32, count uint64, target *[32]byte, found func(uint32) bool) (uint64, error) {
	f.calls.Add(1)
	switch f.fault.Load() {
	case "wrong":
		for nonce := first; nonce-first < uint32(count); nonce++ {
			h := *header
			binary.LittleEndian.PutUint32(h[76:], nonce)
			if hash := f.search.Hash(&h); !kernels.Meets(&hash, target) {
				found(nonce)
				break
			}
		}
		return count, nil
	case "outside":
		found(first - 1)
		return count, nil
	case "lost":
		return 0, errors.New("clFinish: the device was lost")
	case "nothing":
		return 0, nil
	case "blind":
		return count, nil
	case "hang":
		<-f.block
		return 0, errors.New("late")
	}
	return f.search.Scan(header, first, count, target, found), nil
}

// answering is a pool that accepts all shares until the rig goes.
func (p *scriptedPool) answering(extranonce1, difficulty string) *peer {
	peer := p.accept()
	peer.login(extranonce1, 4, "")
	peer.difficulty(difficulty)
	peer.notify(sampleJob("1", true))
	go func() {
		for {
			c, err := peer.read()
			if err != nil {
				return
			}
			if c.method == "mining.submit" {
				if s, ok := c.params[1].(string); !ok || s == "" {
					return
				}
			}
			_, _ = peer.conn.Write([]byte(`{"id":` + c.id + `,"result":true,"error":null}` + "\n"))
		}
	}()
	return peer
}

// A device that reports what is no share, fails, searches nothing, finds nothing
// or hangs is disabled with a message that says so; none of its wrong results
// reaches the pool, and the processor mines on.
func TestDeviceFails(t *testing.T) {
	f := func(fault, why string, change func(*timing)) {
		t.Helper()
		bad := newFaulty(fault)
		p := listen(t)
		r := start(t, p, func(o *Options, timing *timing) {
			o.Devices = []Device{CPU(sha256d.Kernel{}, 1), {Name: "gpu0", Search: bad}}
			o.Limit = NewLimit(20_000)
			if change != nil {
				change(timing)
			}
		})
		defer close(bad.block)
		p.answering("ab", "0.000000005") // one of some twenty hashes
		await(t, fault+": the device disabled", func() bool { return len(r.events.of(DeviceDisabled)) == 1 })
		e := r.events.of(DeviceDisabled)[0]
		if e.Device != "gpu0" || !strings.Contains(e.Text, why) {
			t.Errorf("%s: %+v, want %q", fault, e, why)
		}
		before := r.rig.stats.Counts().Accepted
		await(t, fault+": the processor's shares", func() bool { return r.rig.stats.Counts().Accepted > before+10 })
		s := r.rig.stats.Status()
		cpu, gpu := s.Devices[0], s.Devices[1]
		if cpu.State != Searching || cpu.Errors != 0 || gpu.State != Disabled || gpu.Errors == 0 || gpu.Accepted != 0 {
			t.Errorf("%s: %+v", fault, s.Devices)
		}
		if n := r.rig.stats.Counts(); n.Rejected != 0 {
			t.Errorf("%s: %+v", fault, n)
		}
		for _, e := range r.events.of(Submitted) {
			if e.Device != "cpu" {
				t.Fatalf("%s: the pool was sent a share of %s", fault, e.Device)
			}
		}
		if fault == "hang" {
			bad.block <- struct{}{} // or the rig would leave its thread behind
		}
		r.stop()
		if r.err != nil {
			t.Errorf("%s: %v", fault, r.err)
		}
	}
	f("wrong", "does not meet the target", nil)
	f("outside", "does not meet the target", nil)
	f("lost", "the device was lost", nil)
	f("nothing", "searched 0 nonces", nil)
	f("blind", "none of the 30 shares", nil)
	f("hang", "no answer in", func(t *timing) { t.stuck = 50 * time.Millisecond })
}

// A device that works, is lost in mid-run for a while and comes back is used
// again, and its shares are counted as its own.
func TestDeviceRecovers(t *testing.T) {
	card := newFaulty("")
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) {
		o.Devices = []Device{CPU(sha256d.Kernel{}, 1), {Name: "gpu0", Model: "Card", Path: "opencl", Search: card}}
	})
	p.answering("ab", everyHash)
	accepted := func() uint64 { return r.rig.stats.Status().Devices[1].Accepted }
	await(t, "shares of the device", func() bool { return accepted() >= 5 })
	card.fault.Store("lost")
	await(t, "errors", func() bool { return len(r.events.of(DeviceFailed)) >= 3 })
	card.fault.Store("")
	before := accepted()
	await(t, "shares after the errors", func() bool { return accepted() > before+10 })
	d := r.rig.stats.Status().Devices[1]
	if d.State != Searching || d.Errors < 3 || d.Name != "gpu0" || d.Model != "Card" || d.Path != "opencl" || d.Hashes == 0 {
		t.Errorf("%+v", d)
	}
	r.stop()
	sum := uint64(0)
	for _, d := range r.rig.stats.Status().Devices {
		sum += d.Accepted
	}
	if c := r.rig.stats.Counts(); c.Accepted != sum || c.Rejected != 0 {
		t.Errorf("%+v, devices %d", c, sum)
	}
}

// With the last device the rig ends, and says why.
func TestLastDeviceFails(t *testing.T) {
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) {
		o.Devices = []Device{{Name: "gpu0", Search: newFaulty("lost")}, {Name: "gpu1", Search: newFaulty("wrong")}}
	})
	p.answering("ab", "1")
	r.wait()
	if !errors.Is(r.err, ErrNoDevice) || len(r.events.of(DeviceDisabled)) != 2 {
		t.Errorf("%v", r.err)
	}
}

// A thread that never comes back does not hold up the end.
func TestLeavesAHangingDevice(t *testing.T) {
	card := newFaulty("hang")
	p := listen(t)
	r := start(t, p, func(o *Options, timing *timing) {
		o.Devices = []Device{CPU(sha256d.Kernel{}, 1), {Name: "gpu0", Search: card}}
		timing.abandon = 20 * time.Millisecond
	})
	p.answering("ab", everyHash)
	await(t, "the hanging scan", func() bool { return card.calls.Load() > 0 })
	r.stop()
	close(card.block)
}

func TestStrikes(t *testing.T) {
	d := newDevice(Device{Name: "gpu0", Search: newFaulty("")}, time.Now())
	now := time.Now()
	trouble := errors.New("trouble")
	// Shares between forgive, and so does time.
	for range 50 {
		if _, disabled := d.strike(trouble, now); disabled {
			t.Fatal("disabled in spite of shares")
		}
		d.found()
	}
	for range 50 {
		now = now.Add(forgiveAfter)
		if _, disabled := d.strike(trouble, now); disabled {
			t.Fatal("disabled in spite of the time between")
		}
	}
	for {
		strikes, disabled := d.strike(trouble, now)
		if disabled != (d.strikes == maxStrikes) {
			t.Fatalf("%d strikes: disabled %v", strikes, disabled)
		}
		if disabled {
			break
		}
	}
	if _, again := d.strike(trouble, now); again || d.state != Disabled || !strings.Contains(d.why, "trouble") {
		t.Errorf("%v %s", d.state, d.why)
	}
}

// thermometer shows what a test sets.
type thermometer struct{ celsius atomic.Int64 }

func (s *thermometer) Read() (telemetry.Reading, error) {
	v := float64(s.celsius.Load())
	if v == 0 {
		return telemetry.Reading{}, errors.New("no sensor")
	}
	return telemetry.Reading{Temperature: &v}, nil
}

// The duty by temperature, reading by reading: limit 80 °C, at 60 percent.
func TestThrottle(t *testing.T) {
	d := newDevice(Device{Name: "cpu", Search: newFaulty(""), Intensity: 60, Limit: 80}, time.Now())
	for i, step := range []struct {
		celsius float64
		duty    int
		state   State
		changed State
	}{
		{40, 60, Searching, ""},
		{79, 60, Searching, ""},
		{80, 30, Throttled, Throttled},
		{85, 15, Throttled, ""},
		{85, 0, Throttled, ""},
		{90, 0, Throttled, ""},
		{76, 0, Throttled, ""}, // not yet cool
		{75, 10, Throttled, ""},
		{75, 20, Throttled, ""},
		{78, 20, Throttled, ""},
		{70, 40, Throttled, ""},
		{70, 60, Searching, Searching},
		{70, 60, Searching, ""},
	} {
		v := step.celsius
		changed, _ := d.measured(telemetry.Reading{Temperature: &v})
		if d.duty != step.duty || d.state != step.state || changed != step.changed {
			t.Fatalf("reading %d, %v °C: duty %d, %s, changed %q; want %+v", i, v, d.duty, d.state, changed, step)
		}
	}
	// Without a limit, or a temperature, nothing changes.
	hot := 200.0
	free := newDevice(Device{Name: "cpu", Search: newFaulty("")}, time.Now())
	if free.measured(telemetry.Reading{Temperature: &hot}); free.duty != 100 {
		t.Errorf("duty %d without a limit", free.duty)
	}
	if d.measured(telemetry.Reading{}); d.duty != 60 {
		t.Errorf("duty %d without a reading", d.duty)
	}
}

// A rig that is too hot rests and goes on when it is cool.
func TestThrottlesAndResumes(t *testing.T) {
	heat := &thermometer{}
	heat.celsius.Store(60)
	p := listen(t)
	r := start(t, p, func(o *Options, _ *timing) {
		o.Devices = []Device{{Name: "cpu", Search: newFaulty(""), Threads: 2, Limit: 80, Sensor: heat}}
	})
	p.answering("ab", everyHash)
	hashes := func() uint64 { return r.rig.stats.Counts().Hashes }
	await(t, "hashes", func() bool { return hashes() > 10 })
	heat.celsius.Store(95)
	resting := func() bool {
		d := r.rig.stats.Status().Devices[0]
		return d.State == Throttled && d.Duty == 0
	}
	await(t, "rest", resting)
	if e := r.events.of(DeviceThrottled); len(e) != 1 || e[0].Text != "95 °C, limit 80 °C" {
		t.Errorf("%+v", e)
	}
	heat.celsius.Store(0) // a sensor that fails changes nothing
	await(t, "a failed reading", func() bool { return r.rig.stats.Status().Devices[0].Temperature == nil })
	if !resting() {
		t.Error("the device does not rest any more")
	}
	heat.celsius.Store(50)
	await(t, "full speed", func() bool { return len(r.events.of(DeviceResumed)) == 1 })
	before := hashes()
	await(t, "hashes again", func() bool { return hashes() > before+10 })
}

// At an intensity of 25 percent a device rests three times as long as it works.
func TestIntensity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(Device{Name: "cpu", Search: newFaulty(""), Intensity: 25}, time.Now())
		begin := time.Now()
		d.rest(t.Context(), 40*time.Millisecond)
		if took := time.Since(begin); took != 120*time.Millisecond {
			t.Errorf("rested %v", took)
		}
		full := newDevice(Device{Name: "cpu", Search: newFaulty("")}, time.Now())
		begin = time.Now()
		full.rest(t.Context(), time.Hour)
		if took := time.Since(begin); took != 0 {
			t.Errorf("rested %v at full intensity", took)
		}
	})
}

func TestDevicesRefused(t *testing.T) {
	good := Device{Name: "gpu0", Search: newFaulty("")}
	f := func(want string, devices ...Device) {
		t.Helper()
		_, err := newRig(Options{Pool: "stratum+tcp://pool.example:1", User: "a", Kernel: sha256d.Kernel{}, Devices: devices})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	with := func(change func(*Device)) Device {
		d := good
		change(&d)
		return d
	}
	f("no device", []Device{}...)
	f("two devices are named gpu0", good, good)
	f("no name", with(func(d *Device) { d.Name = "" }))
	f("nothing that searches", with(func(d *Device) { d.Search = nil }))
	f("intensity", with(func(d *Device) { d.Intensity = 101 }))
	f("intensity", with(func(d *Device) { d.Intensity = -1 }))
	f("temperature limit", with(func(d *Device) { d.Limit = -1 }))
}

func TestChance(t *testing.T) {
	f := func(target [32]byte, want float64) {
		t.Helper()
		if got := chance(&target); got < want*0.999 || got > want*1.001 {
			t.Errorf("%x: %g, want %g", target, got, want)
		}
	}
	f([32]byte{0x80}, 0.5)
	f(sha256d.Kernel{}.Diff1(), 65535./65536/(1<<32))
	f([32]byte{31: 1}, 0x1p-256)
}

var _ Searcher = (*faulty)(nil)
