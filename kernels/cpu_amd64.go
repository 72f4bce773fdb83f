//go:build !purego

package kernels

import "golang.org/x/sys/cpu"

//go:generate go run -C _asm . -out ../cpuid_amd64.s -stubs ../cpuid_amd64.go -pkg kernels cpuid

// CPU tells what this CPU can do; nothing under the build tag purego.
func CPU() Features {
	f := Features{
		AVX2:   cpu.X86.HasAVX2,
		AVX512: cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW,
	}
	if leaves, _, _, _ := cpuid(0, 0); leaves >= 7 && cpu.X86.HasAVX && cpu.X86.HasSSSE3 && cpu.X86.HasSSE41 {
		_, ebx, _, _ := cpuid(7, 0)
		f.SHA = ebx>>29&1 == 1
	}
	return f
}
