// Package gpu runs the searches of kernels on OpenCL devices: graphics cards of
// any vendor, and CPUs through PoCL. It loads the system's OpenCL library while
// the program runs; nothing is needed to build it, and a machine without OpenCL
// gets [ErrNoLibrary].
//
//	library, err := gpu.Load("")
//	devices, err := library.Devices()             // some devices beside an error: one platform failed
//	search, err := library.Open(devices[0], program, gpu.Size{})
//	hashes, err := search.Scan(ctx, &header, first, count, &target, found)
//	search.Close()
//
// Devices fail alone: whatever goes wrong with one is an error of its own
// [Search], which is then of no more use, and others go on. Each nonce that a
// device reports is hashed by the CPU before it is handed on; a device that
// reports wrong ones has them counted.
//
// No graphics card was at hand when this was written: the sources ran on PoCL and
// under oclgrind only. So a device is unverified until its owner has run [Verify]
// on it, and a rig uses only those that [Records] knows.
//
// It knows nothing of pools and jobs, temperatures and fans.
package gpu

import (
	"errors"
	"fmt"
)

var (
	// ErrNoLibrary is that there is no OpenCL library, or not one that works.
	ErrNoLibrary = errors.New("no OpenCL library")
	// ErrNoDevice is that the library works and knows no device.
	ErrNoDevice = errors.New("no OpenCL device")
	// ErrLost is that a device did not answer in time.
	ErrLost = errors.New("the device does not answer")
	// ErrWrong is that a device computes wrong results.
	ErrWrong = errors.New("the device computes wrong results")
)

// Error is a failed call of OpenCL on one device or platform.
type Error struct {
	Where string // device or platform
	Call  string // such as "clBuildProgram"
	Code  int32  // OpenCL's, negative
	Text  string // more about it, such as the compiler's output; may be empty
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s: %s", e.Where, e.Call, codeText(e.Code))
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// codeText names the errors that a rig's owner meets.
func codeText(code int32) string {
	names := map[int32]string{
		-1: "device not found", -2: "device not available", -3: "compiler not available",
		-4: "memory allocation failed", -5: "out of resources", -6: "out of host memory",
		-9: "profiling not available", -11: "program does not build", -14: "the commands before it failed",
		-30: "invalid value", -33: "invalid device", -34: "invalid context", -36: "invalid queue",
		-38: "invalid memory object", -45: "invalid program", -46: "invalid kernel name",
		-52: "invalid kernel arguments", -54: "invalid work group size", -55: "invalid work item size",
		-61: "invalid buffer size", -1001: "no platform: no driver (ICD) is installed",
	}
	if name := names[code]; name != "" {
		return fmt.Sprintf("%s (%d)", name, code)
	}
	return fmt.Sprintf("error %d", code)
}
