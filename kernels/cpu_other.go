//go:build (!amd64 && !arm64) || purego

package kernels

// Clock is 0: there is no code to measure it in this build.
func Clock() float64 { return 0 }

// MeasurePorts has no code to measure with in this build.
func MeasurePorts() Ports { return Ports{} }

// CPU tells what this CPU can do: nothing that there is code for in this build.
func CPU() Features { return Features{} }
