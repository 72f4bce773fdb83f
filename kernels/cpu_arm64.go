//go:build !purego

package kernels

import (
	"time"

	"golang.org/x/sys/cpu"
)

// CPU tells what this CPU can do; nothing under the build tag purego.
func CPU() Features { return Features{SHA2: cpu.ARM64.HasSHA2} }

// addChain takes 64 cycles a loop.
func addChain(loops int)

// Clock measures the cycles a second that this thread gets now, over some
// 20 µs. Less than usual means that the machine is busy or the CPU throttled:
// no moment to judge a kernel. It is 0 where it cannot be measured.
func Clock() float64 {
	const loops = 1000
	start := time.Now()
	addChain(loops)
	return loops * 64 / time.Since(start).Seconds()
}

// MeasurePorts has no code to measure with on arm64.
func MeasurePorts() Ports { return Ports{} }
