package slice

import (
	"fmt"

	"github.com/adit-pool/adit/pool/journal"
)

// CheckpointName is the file of the open slice.
const CheckpointName = "open"

// ReadCheckpoint reads the open slice; nil when there is no file.
func ReadCheckpoint(fs journal.FS, dir string) (*Slice, error) {
	b, err := journal.ReadFile(fs, dir, CheckpointName)
	if err != nil || b == nil {
		return nil, err
	}
	s, err := Parse(b)
	if err == nil && s.Reason != ReasonOpen {
		err = fmt.Errorf("%w: closed slice %d", ErrSlice, s.Number)
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %s/%s: %w; without the file the shares in it are folded again, if their streams still have them", dir, CheckpointName, err)
	}
	return s, nil
}
