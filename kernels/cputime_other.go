//go:build !linux

package kernels

import "time"

var started = time.Now()

// ThreadTime is the time that passes: there is no thread's clock here.
func ThreadTime() time.Duration { return time.Since(started) }
