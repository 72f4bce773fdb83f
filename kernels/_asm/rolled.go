package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The rolled searches try each nonce in several versions of a header. The version
// stands in the header's first block and the nonce in its second, so the message
// words of the second block are those of all versions: they are made once for a
// group of nonces, K is added, and each version's rounds read them from memory.

// Offsets in the words of one version.
const (
	rolledState = 4 * 0 // a..h after round 3 of the header's second block, without the nonce
	rolledMid   = 4 * 8 // a..h after the header's first block
	rolledSize  = 4 * 16
)

// scanLanesRolled writes a search of sets registers full of nonces at once, for an
// instruction set with 32 registers.
func scanLanesRolled(name string, m isa, c laneTables, sets int) {
	size := m.size()
	perSet := size / 4
	TEXT(name, 0, "func(job *[35]uint32, versions *[16]uint32, count int, nonce uint32, groups int) int")
	Doc(fmt.Sprintf("%s tries groups of %d nonces from nonce in each of count versions, at least one. It returns the", name, sets*perSet),
		"index of the first group in which a hash of any version may meet the target, or groups when there is none.")
	Pragma("noescape")

	job, versions, left, total, frame := RDI, RSI, RCX, RDX, R9
	ks, end, version, count, table := R10, R11, R12, R8, R13
	at := func(offset int) Mem { return Mem{Base: job, Disp: offset} }
	used := 0 // bytes of the frame
	reserve := func(n int) Mem { used += n; return Mem{Base: frame, Disp: used - n} }

	// Of each set: its nonces, message word 3, and W+K of rounds 4..63.
	const word3At, tableAt = 1, 2
	stride := (tableAt + 60) * size
	memory := reserve(sets * stride)
	wordAt := func(t int) int { return (tableAt + t - 4) * size }

	// The registers' use while words are made, set after set, and in rounds.
	free := m.registers()
	making := &lanes{isa: m, t: free[:5], word: func(t int) Op { return free[5+t%16] }}
	all := make([]*lanes, sets)
	start := make([][8]VecPhysical, sets)
	for i := range all {
		ring := reserve(16 * size)
		mine := free[10*i:]
		start[i] = [8]VecPhysical(mine)
		all[i] = &lanes{
			isa: m, last: mine[8:10], t: free[10*sets:][:5],
			word: func(t int) Op { return ring.Offset(t % 16 * size) },
		}
	}
	step := words(name+"_step", uint32(perSet), uint32(sets*perSet))

	Load(Param("job"), job)
	Load(Param("versions"), versions)
	Load(Param("nonce"), EBX)
	Load(Param("groups"), left)
	MOVQ(left, total)
	LEAQ(AllocLocal(used+size).Offset(size-1), frame)
	ANDQ(I8(-size), frame)
	TESTQ(left, left)
	JLE(LabelRef("done"))
	t := all[0].t
	MOVL(EBX, memory)
	m.spread(memory, t[0])
	m.table(c.count, t[1])
	VPADDD(t[1], t[0], t[0])
	for i := range all {
		m.move(t[0], memory.Offset(i*stride))
		m.addWord(step, t[0], t[0])
	}
	for t := 4; t < 18; t++ { // the words that do not vary
		wk := c.wk80.Offset(4 * t)
		if t >= 16 {
			wk = at(laneWK + 4*(t-16))
		}
		x := all[0].t[0]
		m.spread(wk, x)
		for i := range all {
			m.move(x, memory.Offset(i*stride+wordAt(t)))
		}
	}

	// What is done once for a group is in loops: the code of the versions' rounds
	// fills the caches.
	Label("next")
	Comment("The words of the header's second block, set after set")
	LEAQ(memory, table)
	Label("set")
	word3 := making.t[4]
	making.take(Mem{Base: table}, step.Offset(4), c, word3)
	m.move(word3, Mem{Base: table, Disp: word3At * size})
	making.firstWords(word3, at(laneAdd))
	put := func(t int, k Mem, to Mem) {
		m.addWord(k, making.newest(t), making.t[0])
		m.move(making.t[0], to)
	}
	for t := 18; t < 32; t++ {
		if t >= 20 {
			making.expand(t, earlyTerms(t, at(laneAdd)))
		}
		put(t, c.k.Offset(4*t), Mem{Base: table, Disp: wordAt(t)})
	}
	making.fixedWords(at(laneW16))
	LEAQ(c.k.Offset(4*32), ks)
	LEAQ(c.k.Offset(4*64), end)
	Label("words")
	for t := range 16 {
		making.expand(t+16, allTerms)
		put(t+16, Mem{Base: ks, Disp: 4 * t}, Mem{Base: table, Disp: wordAt(32 + t)})
	}
	ADDQ(U32(uint32(16*size)), table)
	ADDQ(Imm(64), ks)
	CMPQ(ks, end)
	JNE(LabelRef("words"))
	ADDQ(U32(uint32(stride-2*16*size)), table)
	LEAQ(memory.Offset(sets*stride), end)
	CMPQ(table, end)
	JNE(LabelRef("set"))
	MOVQ(versions, version)
	Load(Param("count"), count)

	Comment("Header, rounds 4..63")
	Label("version")
	for i, l := range all {
		l.state = start[i]
		m.move(memory.Offset(i*stride+word3At*size), l.t[4])
		l.begin(l.t[4], Mem{Base: version, Disp: rolledState})
	}
	headerRound := func(base Mem, offset int) {
		for i, l := range all {
			h := l.state[7]
			VPADDD(base.Offset(i*stride+offset), h, h)
			l.mix(whole)
		}
	}
	for t := 4; t < 8; t++ {
		headerRound(memory, wordAt(t))
	}
	LEAQ(memory, table)
	LEAQ(memory.Offset(56*size), end)
	atHeader := all[0].state
	Label("header")
	for t := 8; t < 16; t++ {
		headerRound(Mem{Base: table}, wordAt(t))
	}
	if all[0].state != atHeader {
		panic("registers at the end of the header's rounds are not those of the loop")
	}
	ADDQ(U32(uint32(8*size)), table)
	CMPQ(table, end)
	JNE(LabelRef("header"))

	Comment("Digest, rounds 0..60")
	digestBegin(all, c, Mem{Base: version, Disp: rolledMid})
	LEAQ(c.k.Offset(4*16), ks)
	LEAQ(c.k.Offset(4*48), end)
	atBody := all[0].state
	Label("rounds")
	sixteen(all, ks)
	if all[0].state != atBody {
		panic("registers at the end of the digest's rounds are not those of the loop")
	}
	ADDQ(Imm(64), ks)
	CMPQ(ks, end)
	JNE(LabelRef("rounds"))
	digestEnd(all, c, at(laneHigh))
	ADDQ(Imm(rolledSize), version)
	DECQ(count)
	JNZ(LabelRef("version"))
	DECQ(left)
	JNZ(LabelRef("next"))
	Label("done")
	VZEROUPPER()
	SUBQ(left, total)
	Store(total, ReturnIndex(0))
	RET()
}
