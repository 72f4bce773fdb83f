package worker

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// pin binds the calling thread to a processor.
func pin(processor int) error {
	var set unix.CPUSet
	set.Set(processor)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bind to processor %d: %w", processor, err)
	}
	return nil
}
