package kernels

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadTime is the processor time that this thread has had: others that are busy on
// the machine do not count.
func ThreadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(t.Nano())
}
