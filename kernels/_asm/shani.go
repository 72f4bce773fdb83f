package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The SHA instructions keep the state as two registers: abef holds F, E, B, A
// and cdgh holds H, G, D, C from the lowest word up. SHA256RNDS2 does two
// rounds with the two lowest words of X0, which are W+K.
//
// SHA256* exist in the legacy encoding only, so everything around them is
// VEX.128, which keeps the upper halves of the registers zero: the two mix
// without a penalty as long as no 256-bit instruction is used.

// k is the round constants (FIPS 180-4, section 4.2.2).
var k = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// iv is the initial state (section 5.3.3).
var iv = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// schedule is the message schedule of one block.
func schedule(block [16]uint32) (w [64]uint32) {
	ror := func(x uint32, n int) uint32 { return x>>n | x<<(32-n) }
	copy(w[:], block[:])
	for t := 16; t < 64; t++ {
		a, b := w[t-15], w[t-2]
		w[t] = w[t-16] + w[t-7] + (ror(a, 7) ^ ror(a, 18) ^ a>>3) + (ror(b, 17) ^ ror(b, 19) ^ b>>10)
	}
	return w
}

// words is a table of 32-bit words in read-only memory.
func words(name string, values ...uint32) Mem {
	table := GLOBL(name, RODATA|NOPTR)
	for i, v := range values {
		DATA(4*i, U32(v))
	}
	return table
}

// Bytes of one vector register.
const vec = 16

// Tables of the SHA instructions' path.
type shaniTables struct {
	k     Mem // K
	pad64 Mem // W+K of the padding block after 64 bytes
	iv    Mem // abef and cdgh of the initial state
	swap  Mem // VPSHUFB: bytes of each word reversed
	tail  Mem // words 8..15 of a 32-byte message, then words 4..15 of an 80-byte message's second block
}

func newSHANITables() (t shaniTables) {
	t.k, t.swap = shaniK(), shaniSwap()
	pad := schedule([16]uint32{0: 1 << 31, 15: 512})
	for i := range pad {
		pad[i] += k[i]
	}
	t.pad64 = words("shani_pad64", pad[:]...)
	t.iv = words("shani_iv", iv[5], iv[4], iv[1], iv[0], iv[7], iv[6], iv[3], iv[2])
	t.tail = words("shani_tail", 1<<31, 0, 0, 0, 0, 0, 0, 256, 1<<31, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640)
	return t
}

func shaniK() Mem    { return words("shani_k", k[:]...) }
func shaniSwap() Mem { return words("shani_swap", 0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f) }

// rounds4 does four rounds with the words of w from round t.
func (c shaniTables) rounds4(abef, cdgh, w VecPhysical, t int) {
	VPADDD(c.k.Offset(4*t), w, X0)
	SHA256RNDS2(X0, abef, cdgh)
	VPSHUFD(U8(0x0e), X0, X0)
	SHA256RNDS2(X0, cdgh, abef)
}

// block does the 64 rounds over m, 16 words, which it destroys.
func (c shaniTables) block(abef, cdgh VecPhysical, m [4]VecPhysical, spare VecPhysical) {
	for g := range 16 {
		if g >= 4 {
			c.expand(m, g, spare)
		}
		c.rounds4(abef, cdgh, m[g%4], 4*g)
	}
}

// expand replaces the four words before the last twelve by the next four.
func (c shaniTables) expand(m [4]VecPhysical, g int, spare VecPhysical) {
	w, w4, w8, w12 := m[g%4], m[(g+1)%4], m[(g+2)%4], m[(g+3)%4]
	SHA256MSG1(w4, w)
	VPALIGNR(U8(4), w8, w12, spare)
	VPADDD(spare, w, w)
	SHA256MSG2(w12, w)
}

// toWords turns abef and cdgh into words 0..3 and 4..7.
func toWords(abef, cdgh, low, high VecPhysical) {
	VPSHUFD(U8(0x1b), abef, abef) // A B E F
	VPSHUFD(U8(0x1b), cdgh, cdgh) // C D G H
	VPUNPCKLQDQ(cdgh, abef, low)
	VPUNPCKHQDQ(cdgh, abef, high)
}

// fromWords is the inverse of toWords.
func fromWords(low, high, abef, cdgh VecPhysical) {
	VPUNPCKLQDQ(high, low, abef) // A B E F
	VPUNPCKHQDQ(high, low, cdgh) // C D G H
	VPSHUFD(U8(0x1b), abef, abef)
	VPSHUFD(U8(0x1b), cdgh, cdgh)
}

// digest hashes the 32 bytes of state abef, cdgh and stores the hash at out.
func (c shaniTables) digest(abef, cdgh VecPhysical, m [4]VecPhysical, spare VecPhysical, out Mem) {
	toWords(abef, cdgh, m[0], m[1])
	VMOVDQU(c.tail, m[2])
	VMOVDQU(c.tail.Offset(vec), m[3])
	VMOVDQU(c.iv, abef)
	VMOVDQU(c.iv.Offset(vec), cdgh)
	c.block(abef, cdgh, m, spare)
	VPADDD(c.iv, abef, abef)
	VPADDD(c.iv.Offset(vec), cdgh, cdgh)
	toWords(abef, cdgh, m[0], m[1])
	VMOVDQU(c.swap, spare)
	VPSHUFB(spare, m[0], m[0])
	VPSHUFB(spare, m[1], m[1])
	VMOVDQU(m[0], out)
	VMOVDQU(m[1], out.Offset(vec))
}

// load reads four big-endian words.
func (c shaniTables) load(from Mem, swap, to VecPhysical) {
	VMOVDQU(from, to)
	VPSHUFB(swap, to, to)
}

func sha256dSHANI() {
	c := newSHANITables()
	c.compress("compressSHANI")
	c.digestOf()
	c.sum64()
	c.sum64Pair()
	c.sumHeader()
	for _, lanes := range []int{2, 3, 4} {
		c.scan(lanes)
	}
}

// scryptSHANI is the compression for PBKDF2.
func scryptSHANI() { shaniTables{k: shaniK(), swap: shaniSwap()}.compress("compressSHANI") }

var (
	shaniM = [4]VecPhysical{X3, X4, X5, X6}
	shaniS = X7 // spare
	shaniP = X8 // byte swap
)

func (c shaniTables) compress(name string) {
	TEXT(name, NOSPLIT, "func(state *[8]uint32, p *byte, blocks int)")
	Doc(name + " adds blocks of 64 bytes at p to state.")
	Pragma("noescape")
	state, p, n := RDI, RSI, RCX
	Load(Param("state"), state)
	Load(Param("p"), p)
	Load(Param("blocks"), n)
	VZEROUPPER()
	VMOVDQU(c.swap, shaniP)
	VMOVDQU(Mem{Base: state}, X3)
	VMOVDQU(Mem{Base: state, Disp: vec}, X4)
	fromWords(X3, X4, X1, X2)
	TESTQ(n, n)
	JLE(LabelRef("done"))
	Label("next")
	VMOVDQA(X1, X9)
	VMOVDQA(X2, X10)
	for i, m := range shaniM {
		c.load(Mem{Base: p, Disp: vec * i}, shaniP, m)
	}
	c.block(X1, X2, shaniM, shaniS)
	VPADDD(X9, X1, X1)
	VPADDD(X10, X2, X2)
	ADDQ(Imm(64), p)
	DECQ(n)
	JNZ(LabelRef("next"))
	Label("done")
	toWords(X1, X2, X3, X4)
	VMOVDQU(X3, Mem{Base: state})
	VMOVDQU(X4, Mem{Base: state, Disp: vec})
	RET()
}

func (c shaniTables) digestOf() {
	TEXT("digestSHANI", NOSPLIT, "func(dst *[32]byte, state *[8]uint32)")
	Doc("digestSHANI is SHA-256 of the 32 bytes that state stands for.")
	Pragma("noescape")
	Load(Param("dst"), RDI)
	Load(Param("state"), RSI)
	VZEROUPPER()
	VMOVDQU(Mem{Base: RSI}, X3)
	VMOVDQU(Mem{Base: RSI, Disp: vec}, X4)
	fromWords(X3, X4, X1, X2)
	c.digest(X1, X2, shaniM, shaniS, Mem{Base: RDI})
	RET()
}

func (c shaniTables) sum64() {
	TEXT("sum64SHANI", NOSPLIT, "func(dst, left, right *[32]byte)")
	Doc("sum64SHANI is SHA-256 twice over left and right, a node of a Merkle tree.",
		"The padding block's schedule is a table. dst may be left or right.")
	Pragma("noescape")
	Load(Param("dst"), RDI)
	Load(Param("left"), RSI)
	Load(Param("right"), RDX)
	VZEROUPPER()
	VMOVDQU(c.swap, shaniP)
	for i, m := range shaniM {
		from := Mem{Base: RSI, Disp: vec * i}
		if i >= 2 {
			from = Mem{Base: RDX, Disp: vec * (i - 2)}
		}
		c.load(from, shaniP, m)
	}
	VMOVDQU(c.iv, X1)
	VMOVDQU(c.iv.Offset(vec), X2)
	c.block(X1, X2, shaniM, shaniS)
	VPADDD(c.iv, X1, X1)
	VPADDD(c.iv.Offset(vec), X2, X2)
	VMOVDQA(X1, X9)
	VMOVDQA(X2, X10)
	for t := 0; t < 64; t += 4 {
		VMOVDQU(c.pad64.Offset(4*t), X0)
		SHA256RNDS2(X0, X1, X2)
		VMOVQ(c.pad64.Offset(4*t+8), X0)
		SHA256RNDS2(X0, X2, X1)
	}
	VPADDD(X9, X1, X1)
	VPADDD(X10, X2, X2)
	c.digest(X1, X2, shaniM, shaniS, Mem{Base: RDI})
	RET()
}

// shaniLane is the registers of one of two hashes in step.
type shaniLane struct {
	abef, cdgh VecPhysical
	m          [4]VecPhysical
}

// sum64Pair is sum64 of two nodes, whose latencies fill each other's gaps.
func (c shaniTables) sum64Pair() {
	TEXT("sum64PairSHANI", NOSPLIT, "func(a, b, right *[32]byte)")
	Doc("sum64PairSHANI sets a and b to SHA-256 twice over each and right.")
	Pragma("noescape")
	Load(Param("a"), RDI)
	Load(Param("b"), RSI)
	Load(Param("right"), RDX)
	VZEROUPPER()
	lanes := [2]shaniLane{
		{X1, X2, [4]VecPhysical{X3, X4, X5, X6}},
		{X8, X9, [4]VecPhysical{X10, X11, X12, X13}},
	}
	at := [2]Mem{{Base: RDI}, {Base: RSI}}
	block := func() {
		for g := range 16 {
			for _, l := range lanes {
				if g >= 4 {
					c.expand(l.m, g, shaniS)
				}
				c.rounds4(l.abef, l.cdgh, l.m[g%4], 4*g)
			}
		}
	}
	start := func(l shaniLane) {
		VMOVDQU(c.iv, l.abef)
		VMOVDQU(c.iv.Offset(vec), l.cdgh)
	}
	finish := func(l shaniLane) {
		VPADDD(c.iv, l.abef, l.abef)
		VPADDD(c.iv.Offset(vec), l.cdgh, l.cdgh)
	}
	VMOVDQU(c.swap, shaniS)
	for i, l := range lanes {
		for j, m := range l.m {
			from := at[i].Offset(vec * j)
			if j >= 2 {
				from = Mem{Base: RDX, Disp: vec * (j - 2)}
			}
			c.load(from, shaniS, m)
		}
		start(l)
	}
	block()
	for _, l := range lanes {
		finish(l)
		VMOVDQA(l.abef, l.m[0])
		VMOVDQA(l.cdgh, l.m[1])
	}
	for t := 0; t < 64; t += 4 {
		for _, l := range lanes {
			VMOVDQU(c.pad64.Offset(4*t), X0)
			SHA256RNDS2(X0, l.abef, l.cdgh)
			VMOVQ(c.pad64.Offset(4*t+8), X0)
			SHA256RNDS2(X0, l.cdgh, l.abef)
		}
	}
	for _, l := range lanes {
		VPADDD(l.m[0], l.abef, l.abef)
		VPADDD(l.m[1], l.cdgh, l.cdgh)
		toWords(l.abef, l.cdgh, l.m[0], l.m[1])
		VMOVDQU(c.tail, l.m[2])
		VMOVDQU(c.tail.Offset(vec), l.m[3])
		start(l)
	}
	block()
	VMOVDQU(c.swap, shaniS)
	for i, l := range lanes {
		finish(l)
		toWords(l.abef, l.cdgh, l.m[0], l.m[1])
		for j := range 2 {
			VPSHUFB(shaniS, l.m[j], l.m[j])
			VMOVDQU(l.m[j], at[i].Offset(vec*j))
		}
	}
	RET()
}

func (c shaniTables) sumHeader() {
	TEXT("sumHeaderSHANI", NOSPLIT, "func(dst *[32]byte, header *[80]byte)")
	Doc("sumHeaderSHANI is SHA-256 twice over a block header.")
	Pragma("noescape")
	Load(Param("dst"), RDI)
	Load(Param("header"), RSI)
	VZEROUPPER()
	VMOVDQU(c.swap, shaniP)
	for i, m := range shaniM {
		c.load(Mem{Base: RSI, Disp: vec * i}, shaniP, m)
	}
	VMOVDQU(c.iv, X1)
	VMOVDQU(c.iv.Offset(vec), X2)
	c.block(X1, X2, shaniM, shaniS)
	VPADDD(c.iv, X1, X1)
	VPADDD(c.iv.Offset(vec), X2, X2)
	VMOVDQA(X1, X9)
	VMOVDQA(X2, X10)
	c.load(Mem{Base: RSI, Disp: 64}, shaniP, shaniM[0])
	for i := 1; i < 4; i++ {
		VMOVDQU(c.tail.Offset(vec*(i+1)), shaniM[i])
	}
	c.block(X1, X2, shaniM, shaniS)
	VPADDD(X9, X1, X1)
	VPADDD(X10, X2, X2)
	c.digest(X1, X2, shaniM, shaniS, Mem{Base: RDI})
	RET()
}

// Offsets of the parts of a job, made by newSHANIJob.
const (
	jobABEF  = vec * iota // state after round 3 of the header's second block, without the nonce
	jobCDGH               //
	jobW16                // words 16..19 without the nonce
	jobW20                // words 20..23 before SHA256MSG2
	jobW28                // added to words 28..31
	jobMidAB              // state after the header's first block
	jobMidCD              //
	jobW80                // 1<<31, 0, 0, 0
	jobW256               // 0, 0, 0, 256
	jobHigh               // highest word of the target
)

// scan interleaves the search of several nonces, so that the latency of one
// lane's rounds is filled with the work of the others. The last 16 message
// words of each lane live in the frame but for the four newest; the nonce
// enters after three precomputed rounds, and a nonce is dropped as soon as word
// 7 of its hash is known, three rounds before the end.
func (c shaniTables) scan(lanes int) {
	name := fmt.Sprintf("scanSHANI%d", lanes)
	TEXT(name, 0, "func(job *[37]uint32, nonce uint32, groups int) int")
	Doc(fmt.Sprintf("%s tries groups of %d nonces from nonce. It returns the index of the first", name, lanes),
		"group in which a hash may meet the target, or groups when there is none.")
	Pragma("noescape")

	first := make([]uint32, 16) // W+K of rounds 4..15 of the header's second block
	for t := 4; t < 16; t++ {
		first[t] = k[t]
	}
	first[4] += 1 << 31
	first[15] += 640
	wkHeader := words(name+"_wk80", first...)
	second := make([]uint32, 16) // W+K of rounds 8..15 of a 32-byte message
	for t := 8; t < 16; t++ {
		second[t] = k[t]
	}
	second[8] += 1 << 31
	second[15] += 256
	wkDigest := words(name+"_wk32", second...)

	job, nonce, left, total, high, ring := RDI, EBX, RCX, RDX, R8L, R9
	Load(Param("job"), job)
	Load(Param("nonce"), nonce)
	Load(Param("groups"), left)
	VZEROUPPER()
	MOVQ(left, total)
	frame := AllocLocal(lanes*4*vec + 2*vec + vec) // rings, two constants, room to align
	LEAQ(frame.Offset(vec-1), ring)
	ANDQ(I8(-vec), ring)
	word := func(lane, t int) Mem { return Mem{Base: ring, Disp: lane*4*vec + t%16/4*vec} }
	w80 := Mem{Base: ring, Disp: lanes * 4 * vec}
	w256 := w80.Offset(vec)
	at := func(offset int) Mem { return Mem{Base: job, Disp: offset} }
	VMOVDQU(at(jobW80), X1)
	VMOVDQA(X1, w80)
	VMOVDQU(at(jobW256), X1)
	VMOVDQA(X1, w256)
	MOVL(at(jobHigh), high)
	TESTQ(left, left)
	JLE(LabelRef("done"))

	regs := []VecPhysical{X1, X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12, X13, X14, X15}
	take := func() VecPhysical { r := regs[0]; regs = regs[1:]; return r }
	type lane struct{ abef, cdgh, w VecPhysical }
	all := make([]lane, lanes)
	for i := range all {
		all[i] = lane{take(), take(), take()}
	}
	spare := take() // the next words
	shift := take() // scratch

	// newest makes the register with new words the lane's newest and frees the old one.
	newest := func(l *lane) { l.w, spare = spare, l.w }
	fixed := func(l lane, table Mem, t int) {
		VMOVDQU(table.Offset(4*t), X0)
		SHA256RNDS2(X0, l.abef, l.cdgh)
		VMOVQ(table.Offset(4*t+8), X0)
		SHA256RNDS2(X0, l.cdgh, l.abef)
	}
	general := func(i int, l *lane, t int) {
		VMOVDQA(word(i, t), spare)
		SHA256MSG1(word(i, t+4), spare)
		VPALIGNR(U8(4), word(i, t+8), l.w, shift)
		VPADDD(shift, spare, spare)
		SHA256MSG2(l.w, spare)
		if t < 56 {
			VMOVDQA(spare, word(i, t))
		}
		newest(l)
	}

	Label("next")
	Comment("Header, rounds 4..19")
	for i := range all {
		l := &all[i]
		n := R10L
		if i == 0 {
			MOVL(nonce, n)
		} else {
			LEAL(Mem{Base: RBX, Disp: i}, n)
		}
		BSWAPL(n)
		VMOVD(n, spare)
		VPSHUFD(U8(0x11), spare, l.abef) // 0 W3 0 W3
		VPADDD(at(jobABEF), l.abef, l.abef)
		VMOVDQU(at(jobCDGH), l.cdgh)
		VPSLLDQ(U8(12), spare, spare) // 0 0 0 W3
		if i == 0 {
			VPXOR(shift, shift, shift)
		}
		SHA256MSG1(shift, spare) // 0 0 σ0(W3) W3
		VPADDD(at(jobW16), spare, spare)
		VMOVDQA(spare, word(i, 16))
		newest(l)
	}
	for t := 4; t < 16; t += 4 {
		for i := range all {
			fixed(all[i], wkHeader, t)
		}
	}
	for i := range all {
		c.rounds4(all[i].abef, all[i].cdgh, all[i].w, 16)
	}
	Comment("Header, rounds 20..63")
	for t := 20; t < 64; t += 4 {
		for i := range all {
			l := &all[i]
			switch {
			case t == 20:
				VMOVDQU(at(jobW20), spare)
			case t < 32:
				VPALIGNR(U8(4), word(i, t-8), l.w, spare)
				if t == 28 {
					VPADDD(at(jobW28), spare, spare)
				}
			default:
				general(i, l, t)
			}
			if t < 32 {
				SHA256MSG2(l.w, spare)
				VMOVDQA(spare, word(i, t))
				newest(l)
			}
			c.rounds4(l.abef, l.cdgh, l.w, t)
		}
	}
	Comment("Digest, rounds 0..15")
	for i := range all {
		l := &all[i]
		VPADDD(at(jobMidAB), l.abef, l.abef)
		VPADDD(at(jobMidCD), l.cdgh, l.cdgh)
		toWords(l.abef, l.cdgh, spare, l.w)
		VMOVDQA(spare, word(i, 0))
		VMOVDQA(l.w, word(i, 4))
		VMOVDQU(c.iv, l.abef)
		VMOVDQU(c.iv.Offset(vec), l.cdgh)
		c.rounds4(l.abef, l.cdgh, spare, 0)
	}
	for i := range all {
		c.rounds4(all[i].abef, all[i].cdgh, all[i].w, 4)
	}
	for t := 8; t < 16; t += 4 {
		for i := range all {
			fixed(all[i], wkDigest, t)
		}
	}
	Comment("Digest, rounds 16..61")
	for t := 16; t < 64; t += 4 {
		for i := range all {
			l := &all[i]
			switch t {
			case 16:
				VMOVDQA(word(i, 0), spare)
				SHA256MSG1(l.w, spare)
				SHA256MSG2(w256, spare)
			case 20:
				VMOVDQA(word(i, 4), spare)
				SHA256MSG1(w80, spare)
				VMOVDQA(w256, shift)
				VPALIGNR(U8(4), shift, l.w, shift)
				VPADDD(shift, spare, spare)
				SHA256MSG2(l.w, spare)
			case 24:
				VPALIGNR(U8(4), word(i, 16), l.w, spare)
				VPADDD(w80, spare, spare)
				SHA256MSG2(l.w, spare)
			case 28:
				VMOVDQA(w256, spare)
				SHA256MSG1(word(i, 16), spare)
				VPALIGNR(U8(4), word(i, 20), l.w, shift)
				VPADDD(shift, spare, spare)
				SHA256MSG2(l.w, spare)
			default:
				general(i, l, t)
			}
			if t < 32 {
				VMOVDQA(spare, word(i, t))
				newest(l)
			}
			if t < 60 {
				c.rounds4(l.abef, l.cdgh, l.w, t)
			} else {
				VPADDD(c.k.Offset(4*t), l.w, X0)
				SHA256RNDS2(X0, l.abef, l.cdgh)
			}
		}
	}
	Comment("Word 7 of the hash is F after round 61")
	for i := range all {
		VMOVD(all[i].cdgh, R10L)
		ADDL(U32(iv[7]), R10L)
		BSWAPL(R10L)
		CMPL(R10L, high)
		JLS(LabelRef("done"))
	}
	ADDL(Imm(uint64(lanes)), nonce)
	DECQ(left)
	JNZ(LabelRef("next"))
	Label("done")
	SUBQ(left, total)
	Store(total, ReturnIndex(0))
	RET()
}
