package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The vertical searches keep one 32-bit word of every lane in one vector
// register and do SHA-256 as FIPS 180-4 writes it, all lanes in step.

// rotation is the exclusive or of three rotates to the right; a negative third
// is a shift.
type rotation [3]int

var (
	bigSigma0   = rotation{2, 13, 22}
	bigSigma1   = rotation{6, 11, 25}
	smallSigma0 = rotation{7, 18, -3}
	smallSigma1 = rotation{17, 19, -10}
)

// isa is what the vector instruction sets do differently. The destination comes
// last, as in the assembler.
type isa interface {
	size() int                                         // bytes in a register
	registers() []VecPhysical                          // that a search may use
	move(x, dst Op)                                    // between registers and aligned memory
	table(m Mem, dst VecPhysical)                      // load a whole register, unaligned
	spread(m Mem, dst VecPhysical)                     // the word at m in every lane
	addWord(m Mem, x, dst VecPhysical)                 // x plus the word at m in every lane
	choose(e, f, g, dst VecPhysical)                   // dst is none of the others
	majority(a, b, c, t, dst VecPhysical)              // t and dst are none of the others
	rotate(r rotation, x VecPhysical, t []VecPhysical) // t[0]; t[1] and t[2] are lost, x is none of them
	met(word, high, t VecPhysical)                     // clears ZF when a lane's word is at most high; t is lost
}

// Offsets of the words of a job, made by newLaneJob.
const (
	laneState = 4 * 0  // a..h after round 3 of the header's second block, without the nonce
	laneMid   = 4 * 8  // a..h after the header's first block
	laneWK    = 4 * 16 // W+K of rounds 16 and 17
	laneAdd   = 4 * 18 // constant parts of words 18..31
	laneHigh  = 4 * 32 // highest word of the target
	laneW16   = 4 * 33 // words 16 and 17
)

// lanes is one register set's worth of nonces on their way through two SHA-256.
type lanes struct {
	isa
	state [8]VecPhysical // a..h, renamed every round
	word  func(t int) Op // where message word t lives, t modulo 16
	last  []VecPhysical  // the two newest words when words live in memory, t modulo 2
	t     []VecPhysical  // five for scratch
}

// terms says which terms of a message word vary between nonces, and where the
// sum of the constant ones is (nil: it is zero).
type terms struct {
	w16, w15, w7, w2 bool
	fixed            *Mem
}

var allTerms = terms{w16: true, w15: true, w7: true, w2: true}

// expand makes message word t in the place of word t-16. When words live in
// memory, the two newest are in registers besides.
func (l *lanes) expand(t int, v terms) {
	place, inRegister := l.word(t).(VecPhysical)
	if !inRegister {
		place = l.t[4]
	}
	var sum Op // so far, a register or memory
	add := func(x Op) {
		switch {
		case sum == nil:
			sum = x
			return
		case !isMem(sum):
			VPADDD(x, sum, place)
		case !isMem(x):
			VPADDD(sum, x, place)
		default:
			l.move(sum, place)
			VPADDD(x, place, place)
		}
		sum = place
	}
	if v.w16 {
		add(l.word(t - 16))
	}
	if v.w7 {
		add(l.word(t - 7))
	}
	if v.w15 {
		x, ok := l.word(t - 15).(VecPhysical)
		if !ok {
			x = l.t[3]
			l.move(l.word(t-15), x)
		}
		l.rotate(smallSigma0, x, l.t[:3])
		add(l.t[0])
	}
	if v.fixed != nil && sum != nil && !isMem(sum) {
		l.addWord(*v.fixed, sum.(VecPhysical), place)
		sum, v.fixed = place, nil
	}
	if v.w2 {
		l.rotate(smallSigma1, l.newest(t-2), l.t[:3])
		if !inRegister {
			place = l.newest(t)
		}
		add(l.t[0])
	}
	if v.fixed != nil {
		l.addWord(*v.fixed, sum.(VecPhysical), place)
		sum = place
	}
	l.keep(t, sum.(VecPhysical))
}

// newest is the register of word t, one of the two made last.
func (l *lanes) newest(t int) VecPhysical {
	if r, ok := l.word(t).(VecPhysical); ok {
		return r
	}
	return l.last[t%2]
}

// keep puts x where message word t lives.
func (l *lanes) keep(t int, x VecPhysical) {
	if x != l.newest(t) {
		l.move(x, l.newest(t))
	}
	if isMem(l.word(t)) {
		l.move(x, l.word(t))
	}
}

func isMem(x Op) bool { _, ok := x.(Mem); return ok }

// How much of a round is wanted.
const (
	whole = iota
	onlyE // a is not read again
)

// round does a round. wk holds K, or W+K when there is no word because it does
// not vary.
func (l *lanes) round(wk Mem, word Op, part int) {
	h := l.state[7]
	l.addWord(wk, h, h)
	if word != nil {
		VPADDD(word, h, h)
	}
	l.mix(part)
}

// mix is a round after W and K were added to h.
func (l *lanes) mix(part int) {
	a, b, c, d, e, f, g, h := l.state[0], l.state[1], l.state[2], l.state[3], l.state[4], l.state[5], l.state[6], l.state[7]
	l.choose(e, f, g, l.t[0])
	VPADDD(l.t[0], h, h)
	l.rotate(bigSigma1, e, l.t[:3])
	VPADDD(l.t[0], h, h)
	VPADDD(h, d, d)
	if part == whole {
		l.majority(a, b, c, l.t[1], l.t[0])
		VPADDD(l.t[0], h, h)
		l.rotate(bigSigma0, a, l.t[:3])
		VPADDD(l.t[0], h, h)
	}
	l.state = [8]VecPhysical{h, a, b, c, d, e, f, g}
}

// laneTables are the constants of the code.
type laneTables struct {
	k, wk80, wk32 Mem // K, and W+K where the word is fixed
	iv            Mem
	swap, count   Mem // bytes of each word reversed; 0, 1, 2, …
	first32       Mem // round 0 of the digest makes a and e of word 0 by adding these
	w32           Mem // words 8..15 of the digest, at their places
}

func ror(x uint32, n int) uint32 { return x>>n | x<<(32-n) }

func newLaneTables(prefix string, size int) (c laneTables) {
	first, second := k, k
	first[4] += 1 << 31
	first[15] += 640
	second[8] += 1 << 31
	second[15] += 256
	var swap, count []uint32
	for i := range uint32(size / 4) {
		swap = append(swap, 0x00010203+i%4*0x04040404)
		count = append(count, i)
	}
	a, e := iv[0], iv[4]
	t1 := iv[7] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (e&iv[5] ^ ^e&iv[6]) + k[0]
	t2 := (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + (a&iv[1] ^ a&iv[2] ^ iv[1]&iv[2])
	return laneTables{
		k: words(prefix+"_k", k[:]...), wk80: words(prefix+"_wk80", first[:16]...), wk32: words(prefix+"_wk32", second[:16]...),
		iv: words(prefix+"_iv", iv[:]...), swap: words(prefix+"_swap", swap...), count: words(prefix+"_count", count...),
		first32: words(prefix+"_first32", t1+t2, iv[3]+t1), w32: words(prefix+"_w32", []uint32{8: 1 << 31, 15: 256}...),
	}
}

// scanLanes writes a search of sets registers full of nonces at once. The
// message words stay in registers when there are enough, else in the frame.
func scanLanes(name string, m isa, c laneTables, sets int) {
	size := m.size()
	perSet := size / 4
	TEXT(name, 0, "func(job *[35]uint32, nonce uint32, groups int) int")
	Doc(fmt.Sprintf("%s tries groups of %d nonces from nonce. It returns the index of the first", name, sets*perSet),
		"group in which a hash may meet the target, or groups when there is none.")
	Pragma("noescape")

	job, left, total, frame, ks, end := RDI, RCX, RDX, R9, R10, R11
	free := m.registers()
	take := func(n int) (some []VecPhysical) { some, free = free[:n], free[n:]; return some }
	at := func(offset int) Mem { return Mem{Base: job, Disp: offset} }
	used := 0 // bytes of the frame
	reserve := func(n int) Mem { used += n; return Mem{Base: frame, Disp: used - n} }

	all := make([]*lanes, sets)
	start := make([][8]VecPhysical, sets)
	nonces := make([]Mem, sets)
	for i := range all {
		start[i] = [8]VecPhysical(take(8))
		nonces[i] = reserve(size)
		all[i] = &lanes{isa: m}
	}
	inRegisters := len(free) >= sets*16+5
	for _, l := range all {
		if inRegisters {
			ring := take(16)
			l.word = func(t int) Op { return ring[t%16] }
		} else {
			l.last = take(2)
			ring := reserve(16 * size)
			l.word = func(t int) Op { return ring.Offset(t % 16 * size) }
		}
	}
	for _, l := range all {
		l.t = free[:5] // the sets may share them: the CPU renames registers
	}
	each := func(f func(i int, l *lanes)) {
		for i, l := range all {
			f(i, l)
		}
	}
	step := words(name+"_step", uint32(perSet), uint32(sets*perSet))

	Load(Param("job"), job)
	Load(Param("nonce"), EBX)
	Load(Param("groups"), left)
	MOVQ(left, total)
	LEAQ(AllocLocal(used+size).Offset(size-1), frame)
	ANDQ(I8(-size), frame)
	TESTQ(left, left)
	JLE(LabelRef("done"))
	t := all[0].t
	MOVL(EBX, nonces[0])
	m.spread(nonces[0], t[0])
	m.table(c.count, t[1])
	VPADDD(t[1], t[0], t[0])
	for i := range all {
		m.move(t[0], nonces[i])
		m.addWord(step, t[0], t[0])
	}

	Label("next")
	Comment("Header, rounds 4..17")
	each(func(i int, l *lanes) {
		l.state = start[i]
		word3 := l.t[4]
		l.take(nonces[i], step.Offset(4), c, word3)
		l.begin(word3, at(laneState))
		l.firstWords(word3, at(laneAdd))
	})
	for t := 4; t < 18; t++ {
		wk := c.wk80.Offset(4 * t)
		if t >= 16 {
			wk = at(laneWK + 4*(t-16))
		}
		each(func(_ int, l *lanes) { l.round(wk, nil, whole) })
	}
	Comment("Header, rounds 18..31")
	for t := 18; t < 32; t++ {
		each(func(_ int, l *lanes) {
			if t >= 20 {
				l.expand(t, earlyTerms(t, at(laneAdd)))
			}
			l.round(c.k.Offset(4*t), l.newest(t), whole)
		})
	}
	each(func(_ int, l *lanes) { l.fixedWords(at(laneW16)) }) // the rounds that follow expect them
	LEAQ(c.k.Offset(4*32), ks)
	LEAQ(c.k.Offset(4*64), end)

	Comment("Sixteen rounds of either block, from a multiple of 16")
	Label("rounds")
	atBody := all[0].state
	sixteen(all, ks)
	ADDQ(Imm(64), ks)
	CMPQ(ks, end)
	JNE(LabelRef("rounds"))
	LEAQ(c.k.Offset(4*48), ks)
	CMPQ(ks, end)
	JEQ(LabelRef("tail"))

	Comment("Digest, rounds 0..15")
	digestBegin(all, c, at(laneMid))
	if all[0].state != atBody {
		panic("registers at the end of the digest's first rounds are not those of the loop")
	}
	LEAQ(c.k.Offset(4*16), ks)
	LEAQ(c.k.Offset(4*48), end)
	JMP(LabelRef("rounds"))

	Comment("Digest, rounds 48..60")
	Label("tail")
	digestEnd(all, c, at(laneHigh))
	DECQ(left)
	JNZ(LabelRef("next"))
	Label("done")
	VZEROUPPER()
	SUBQ(left, total)
	Store(total, ReturnIndex(0))
	RET()
}

// take brings the set's nonces into a register as message word 3 and moves them on
// by the word at step. word3 is t[4].
func (l *lanes) take(nonces, step Mem, c laneTables, word3 VecPhysical) {
	l.move(nonces, word3)
	l.addWord(step, word3, l.t[0])
	l.move(l.t[0], nonces)
	l.table(c.swap, l.t[3])
	VPSHUFB(l.t[3], word3, word3)
}

// begin is the state after round 3; from is the one without the nonce. a and e
// are a constant plus word 3.
func (l *lanes) begin(word3 VecPhysical, from Mem) {
	for j, r := range l.state {
		if j%4 == 0 {
			l.addWord(from.Offset(4*j), word3, r)
		} else {
			l.spread(from.Offset(4*j), r)
		}
	}
}

// firstWords makes words 18 and 19, the first that vary; word3 is lost.
func (l *lanes) firstWords(word3 VecPhysical, fixed Mem) {
	l.rotate(smallSigma0, word3, l.t[:3])
	l.addWord(fixed, l.t[0], l.t[0])
	l.keep(18, l.t[0])
	l.addWord(fixed.Offset(4), word3, word3)
	l.keep(19, word3)
}

// earlyTerms are those of word t, 20..31, of the header's second block.
func earlyTerms(t int, fixed Mem) terms {
	v := terms{w2: true, w7: t >= 25}
	if t != 21 && t < 25 || t >= 30 {
		fixed = fixed.Offset(4 * (t - 18))
		v.fixed = &fixed
	}
	return v
}

// fixedWords puts words 16 and 17, which do not vary, to the others.
func (l *lanes) fixedWords(from Mem) {
	for i := range 2 {
		l.spread(from.Offset(4*i), l.t[0])
		l.move(l.t[0], l.word(16+i))
	}
}

// sixteen does 16 rounds and makes their words; ks is where their K are.
func sixteen(all []*lanes, ks Register) {
	for t := 16; t < 32; t++ {
		for _, l := range all {
			l.expand(t, allTerms)
			l.round(Mem{Base: ks, Disp: 4 * (t - 16)}, l.newest(t), whole)
		}
	}
}

// digestBegin ends the header's hash, whose state before this block is at mid, and
// does rounds 0..15 over it.
func digestBegin(all []*lanes, c laneTables, mid Mem) {
	for _, l := range all {
		for j, r := range l.state {
			l.addWord(mid.Offset(4*j), r, r)
			l.move(r, l.word(j))
		}
		for j := 8; j < 16; j++ {
			l.spread(c.w32.Offset(4*j), l.t[0])
			l.keep(j, l.t[0])
		}
		// Round 0 begins with a constant state: it leaves two words that
		// vary and six that are the initial state moved down.
		w0 := l.state[0]
		l.state = [8]VecPhysical{l.state[7], l.state[0], l.state[1], l.state[2], l.state[3], l.state[4], l.state[5], l.state[6]}
		l.addWord(c.first32, w0, l.state[0])
		l.addWord(c.first32.Offset(4), w0, l.state[4])
		for _, j := range []int{1, 2, 3, 5, 6, 7} {
			l.spread(c.iv.Offset(4*(j-1)), l.state[j])
		}
	}
	for t := 1; t < 16; t++ {
		for _, l := range all {
			var word Op
			if t < 8 {
				word = l.word(t)
			}
			l.round(c.wk32.Offset(4*t), word, whole)
		}
	}
}

// digestEnd does rounds 48..60 and goes to done when a hash may meet the target,
// whose highest word is at target.
func digestEnd(all []*lanes, c laneTables, target Mem) {
	for t := 48; t <= 60; t++ {
		part := whole
		if t >= 57 {
			part = onlyE
		}
		for _, l := range all {
			l.expand(t, allTerms)
			l.round(c.k.Offset(4*t), l.newest(t), part)
		}
	}
	Comment("Word 7 of the hash is E after round 60")
	for _, l := range all {
		e, high := l.state[4], l.state[0]
		l.addWord(c.iv.Offset(4*7), e, e)
		l.table(c.swap, high)
		VPSHUFB(high, e, e)
		l.spread(target, high)
		l.met(e, high, l.state[1])
		JNE(LabelRef("done"))
	}
}
