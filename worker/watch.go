package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// ErrNoDevice is that every device was disabled.
var ErrNoDevice = errors.New("every device is disabled")

// startDevice starts the threads of d and its watcher. The channel is closed
// when all have ended.
func (r *rig) startDevice(ctx context.Context, d *device) <-chan struct{} {
	var all sync.WaitGroup
	for i := range d.Threads {
		all.Go(func() {
			if len(d.CPUs) > 0 {
				runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
				if err := pin(d.CPUs[i%len(d.CPUs)]); err != nil {
					r.log.Warn().Err(err).Str("device", d.Name).Msg("thread not bound to its processor")
				}
			}
			r.search.run(ctx, d, i)
		})
	}
	all.Go(func() { r.watch(ctx, d) })
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	return ended
}

// watch reads the sensor of d and looks whether it answers, until ctx ends or d
// is disabled.
func (r *rig) watch(ctx context.Context, d *device) {
	ticker := time.NewTicker(r.timing.measure)
	defer ticker.Stop()
	sensor := true // worked the last time
	for {
		if d.Sensor != nil {
			reading, err := d.Sensor.Read()
			if sensor && err != nil {
				r.log.Warn().Err(err).Str("device", d.Name).Msg("sensor not read")
			}
			sensor = err == nil
			switch state, why := d.measured(reading); state {
			case Throttled:
				r.log.Warn().Str("device", d.Name).Str("why", why).Msg("device slowed down")
				r.observe(Event{Kind: DeviceThrottled, Device: d.Name, Text: why})
			case Searching:
				r.log.Info().Str("device", d.Name).Msg("device at full speed again")
				r.observe(Event{Kind: DeviceResumed, Device: d.Name})
			}
		}
		if longest := d.stuck(time.Now()); longest > r.timing.stuck {
			if d.giveUp(fmt.Sprintf("no answer in %v", longest.Round(time.Second))) {
				r.disabled(d)
			}
		}
		select {
		case <-ticker.C:
		case <-d.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// failed counts an error of d and says how long to leave it alone: longer each
// time, half a minute in all before it is disabled.
func (r *rig) failed(d *device, err error) time.Duration {
	strikes, disabled := d.strike(err, time.Now())
	if disabled {
		r.disabled(d)
		return 0
	}
	r.log.Warn().Err(err).Str("device", d.Name).Msg("device failed")
	r.observe(Event{Kind: DeviceFailed, Device: d.Name, Text: cleanText(err.Error())})
	return r.timing.retry << strikes
}

// disabled tells that d is, and ends the rig when it was the last.
func (r *rig) disabled(d *device) {
	why := d.status(time.Now()).Why
	r.log.Error().Str("device", d.Name).Str("why", why).Msg("device disabled, the rest mines on")
	r.observe(Event{Kind: DeviceDisabled, Device: d.Name, Text: cleanText(why)})
	for _, other := range r.devices {
		if other.status(time.Now()).State != Disabled {
			return
		}
	}
	r.stop(fmt.Errorf("%w; the last was %s: %s", ErrNoDevice, d.Name, why))
}
