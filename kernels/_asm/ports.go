package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Loops of instructions that do not wait for each other: how fast the execution
// units take them is the limit of the kernels made of them.
func ports() {
	loop := func(name, doc string, begin, body func()) {
		TEXT(name, NOSPLIT, "func(loops int)")
		Doc(name + " takes, a loop, " + doc)
		Load(Param("loops"), RCX)
		begin()
		Label("next")
		body()
		DECQ(RCX)
		JNZ(LabelRef("next"))
		VZEROUPPER()
		RET()
	}
	xs := []VecPhysical{X1, X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12, X13, X14}
	rounds := func(a, b VecPhysical) {
		SHA256RNDS2(X0, a, b)
		SHA256RNDS2(X0, b, a)
	}
	loop("roundsAlone", "14 SHA256RNDS2.", VZEROUPPER, func() {
		for i := 0; i < len(xs); i += 2 {
			rounds(xs[i], xs[i+1])
		}
	})
	loop("roundsAndWords", "12 times two SHA256RNDS2, a SHA256MSG1 and a SHA256MSG2.", VZEROUPPER, func() {
		for i := range 12 {
			rounds(xs[i%4*2], xs[i%4*2+1])
			SHA256MSG1(X15, xs[8+i%3])
			SHA256MSG2(X15, xs[11+i%3])
		}
	})
	loop("mix256", "48 additions, exclusive ors and shifts of 256 bits: one, one and two of four.", VZEROUPPER, func() {
		ys := []VecPhysical{Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12}
		for i, y := range ys {
			VPADDD(Y0, y, y)
			VPXOR(Y0, ys[(i+3)%12], ys[(i+3)%12])
			VPSLLD(U8(7), ys[(i+6)%12], ys[(i+6)%12])
			VPSRLD(U8(25), ys[(i+9)%12], ys[(i+9)%12])
		}
	})
	loop("mix512", "48 additions, exclusive ors and rotations of 512 bits, each a third.", VZEROUPPER, func() {
		zs := []VecPhysical{Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, Z16}
		for i, z := range zs {
			VPADDD(Z0, z, z)
			VPXORD(Z0, zs[(i+5)%16], zs[(i+5)%16])
			VPROLD(U8(7), zs[(i+10)%16], zs[(i+10)%16])
		}
	})
}
