//go:build !amd64 || purego

package kernels

// CPU tells what this CPU can do: nothing that there is code for in this build.
func CPU() Features { return Features{} }
