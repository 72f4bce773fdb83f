//go:build !linux

package kernels

import "time"

var started = time.Now()

// cpuTime is the time that passes: there is no thread's clock here.
func cpuTime() time.Duration { return time.Since(started) }
