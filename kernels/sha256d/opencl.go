package sha256d

import (
	_ "embed"

	"github.com/adit-pool/adit/kernels"
)

//go:embed search.cl
var source string

// Program is the search for OpenCL devices.
func Program() kernels.Program {
	return kernels.Program{
		Kernel: Kernel{}, Source: source, Words: 35,
		Job: func(header *[kernels.HeaderSize]byte, target *[32]byte) []uint32 {
			words := newJob(header, target).forLanes()
			return words[:]
		},
	}
}
