package kernels

// Program is the search of a kernel written in OpenCL C 1.2, for devices that
// are no part of the CPU; package gpu runs it. Source has the entry point
//
//	__kernel void search(__constant uint *job, uint first, uint count,
//	                     __global uint *found, __global uint4 *scratch)
//
// Work item i of a launch tries the nonce first+i when i is below count. For
// every nonce whose hash may meet the target it takes the next number n from
// the counter found[0] by atomic_inc and, if n is below FOUND (a macro that the
// host sets), writes the nonce to found[1+n]. It may report nonces that do not
// meet the target, but only when the highest word of their hash is at most the
// target's. The host defines
// ROLLED for a device whose driver takes long to compile unrolled loops.
type Program struct {
	Kernel  Kernel // the same function on the CPU: it checks every nonce found
	Source  string
	Words   int // of a job
	Scratch int // bytes of device memory for each work item of a launch, a multiple of 16; 0: none

	// Job is what of header (its nonce is ignored) and target (a big-endian
	// number) the device needs, as Words 32-bit words.
	Job func(header *[HeaderSize]byte, target *[32]byte) []uint32
}
