//go:build !purego

package kernels

import "time"

//go:generate go run -C _asm . -out ../chain_amd64.s -stubs ../chain_amd64.go -pkg kernels clock

// Clock measures the cycles a second that this thread gets now, over some
// 20 µs. Less than usual means that the machine is busy or the CPU throttled:
// no moment to judge a kernel. It is 0 where it cannot be measured.
func Clock() float64 {
	const loops = 1000
	start := time.Now()
	addChain(loops)
	return loops * 64 / time.Since(start).Seconds()
}
