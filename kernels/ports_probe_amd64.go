//go:build !purego

package kernels

import "time"

//go:generate go run -C _asm . -out ../ports_amd64.s -stubs ../ports_amd64.go -pkg kernels ports

// MeasurePorts finds out in some 50 ms what this CPU's execution units take.
func MeasurePorts() Ports {
	cpu := CPU()
	var p Ports
	probe := func(there bool, loop func(loops int), instructions float64) float64 {
		if !there {
			return 0
		}
		const loops, bursts = 400, 250
		chain, all := time.Hour, time.Hour // the least: others on the machine only add
		for range bursts {
			began := time.Now()
			addChain(loops)
			middle := time.Now()
			loop(loops)
			chain, all = min(chain, middle.Sub(began)), min(all, time.Since(middle))
		}
		return 64 * float64(all) / float64(chain) / instructions
	}
	p.Rounds2 = probe(cpu.SHA, roundsAlone, 14)
	p.Rounds4 = probe(cpu.SHA, roundsAndWords, 12)
	p.Mix256 = probe(cpu.AVX2, mix256, 48)
	p.Mix512 = probe(cpu.AVX512, mix512, 48)
	return p
}
