package worker

import (
	"context"
	"errors"
	"time"

	"github.com/adit-pool/adit/kernels"
)

// Measure lets the devices search together without a pool, as they would for
// one, first for warm and then for d, whose hashes and hashrate the results hold.
func Measure(ctx context.Context, kernel kernels.Kernel, devices []Device, warm, d time.Duration) ([]DeviceStatus, error) {
	r, err := newRig(Options{Pool: "stratum+tcp://localhost:1", User: "-", Kernel: kernel, Devices: devices})
	if err != nil {
		return nil, err
	}
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	// A target that nothing meets.
	var none [32]byte
	r.search.set(&work{
		together: r.search.together(&none),
		job:      &job{ntime: uint32(time.Now().Unix()), version: 0x20000000}, era: newEra(),
		extranonce: extranonce{twoSize: 8}, mask: versionMask, received: time.Now(),
	})
	r.stats.start(kernel.Name(), r.devices)
	var ended []<-chan struct{}
	for _, d := range r.devices {
		ended = append(ended, r.startDevice(ctx, d))
	}
	wait(ctx, warm, nil)
	before, begun := r.stats.Status().Devices, time.Now()
	wait(ctx, d, nil)
	after, took := r.stats.Status().Devices, time.Since(begun)
	failed := context.Cause(ctx)
	r.stop(nil)
	late := time.After(r.timing.abandon)
	for _, e := range ended {
		select {
		case <-e:
		case <-late:
			return nil, errors.Join(failed, errors.New("a device does not stop"))
		}
	}
	for i := range after {
		after[i].Hashes -= before[i].Hashes
		after[i].Hashrate = float64(after[i].Hashes) / took.Seconds()
	}
	return after, failed
}
