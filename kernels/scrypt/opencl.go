package scrypt

import (
	_ "embed"
	"encoding/binary"

	"github.com/adit-pool/adit/kernels"
)

//go:embed search.cl
var source string

// Program is the search for OpenCL devices. Its job is the header and the
// highest word of the target.
func Program() kernels.Program {
	return kernels.Program{
		Kernel: Kernel{}, Source: source, Words: 21, Scratch: 1024 * 128,
		Job: func(header *[kernels.HeaderSize]byte, target *[32]byte) []uint32 {
			words := make([]uint32, 21)
			for i := range 20 {
				words[i] = binary.BigEndian.Uint32(header[4*i:])
			}
			words[20] = binary.BigEndian.Uint32(target[:])
			return words
		},
	}
}
