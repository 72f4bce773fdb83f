package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func sha256dAVX2() {
	scanLanes("scanAVX2x8", avx2{}, newLaneTables("avx2", 32), 1)
}

func sha256dAVX512() {
	c := newLaneTables("avx512", 64)
	scanLanes("scanAVX512x16", avx512{}, c, 1)
	scanLanes("scanAVX512x32", avx512{}, c, 2)
	scanLanesRolled("scanAVX512x32Rolled", avx512{}, c, 2)
}

// avx2 has no rotate and no three-input logic. Y15 is its own scratch.
type avx2 struct{}

func (avx2) size() int { return 32 }

func (avx2) registers() []VecPhysical {
	return []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14}
}

func (avx2) move(x, dst Op)                { VMOVDQA(x, dst) }
func (avx2) table(m Mem, dst VecPhysical)  { VMOVDQU(m, dst) }
func (avx2) spread(m Mem, dst VecPhysical) { VPBROADCASTD(m, dst) }
func (avx2) choose(e, f, g, dst VecPhysical) {
	VPXOR(f, g, dst)
	VPAND(e, dst, dst)
	VPXOR(g, dst, dst)
}

func (avx2) addWord(m Mem, x, dst VecPhysical) {
	VPBROADCASTD(m, Y15)
	VPADDD(Y15, x, dst)
}

func (avx2) majority(a, b, c, t, dst VecPhysical) {
	VPOR(a, b, dst)
	VPAND(c, dst, dst)
	VPAND(a, b, t)
	VPOR(t, dst, dst)
}

func (avx2) rotate(r rotation, x VecPhysical, t []VecPhysical) {
	for i, n := range r {
		part := t[min(i, 1)]
		if n < 0 {
			VPSRLD(U8(-n), x, part)
		} else {
			VPSRLD(U8(n), x, part)
			VPSLLD(U8(32-n), x, t[2])
			VPXOR(t[2], part, part)
		}
		if i > 0 {
			VPXOR(part, t[0], t[0])
		}
	}
}

func (avx2) met(word, high, t VecPhysical) {
	VPMINUD(word, high, t)
	VPCMPEQD(word, t, t)
	VPTEST(t, t)
}

// avx512 needs the F and BW subsets.
type avx512 struct{}

func (avx512) size() int { return 64 }

func (avx512) registers() []VecPhysical {
	return []VecPhysical{
		Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
	}
}

func (avx512) move(x, dst Op)                    { VMOVDQA32(x, dst) }
func (avx512) table(m Mem, dst VecPhysical)      { VMOVDQU32(m, dst) }
func (avx512) spread(m Mem, dst VecPhysical)     { VPBROADCASTD(m, dst) }
func (avx512) addWord(m Mem, x, dst VecPhysical) { VPADDD_BCST(m, x, dst) }

func (avx512) choose(e, f, g, dst VecPhysical) {
	VMOVDQA32(e, dst)
	VPTERNLOGD(U8(0xca), g, f, dst)
}

func (avx512) majority(a, b, c, _, dst VecPhysical) {
	VMOVDQA32(a, dst)
	VPTERNLOGD(U8(0xe8), c, b, dst)
}

func (avx512) rotate(r rotation, x VecPhysical, t []VecPhysical) {
	for i, n := range r {
		if n < 0 {
			VPSRLD(U8(-n), x, t[i])
		} else {
			VPRORD(U8(n), x, t[i])
		}
	}
	VPTERNLOGD(U8(0x96), t[2], t[1], t[0])
}

func (avx512) met(word, high, _ VecPhysical) {
	VPCMPUD(U8(2), high, word, K1) // not above
	KORTESTW(K1, K1)
}
