package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// ROMix of scrypt with N=1024, r=1 (RFC 7914, section 5) for several hashes at
// once. A 64-byte block of a hash is four rows of 16 bytes, the diagonals of the
// Salsa20 matrix:
//
//	x0 x5 x10 x15 | x4 x9 x14 x3 | x8 x13 x2 x7 | x12 x1 x6 x11
//
// A register holds the same row of several hashes, one in each 128 bits; these
// hashes are a chain. One chain waits for its own results most of the time, so
// several chains take turns; when the registers do not suffice for the last of
// them, its rows wait in memory until they are needed.

const (
	romixN    = 1024
	blockSize = 128 // bytes of a hash's state
)

// wide is what the register sizes do differently.
type wide interface {
	size() int                                          // bytes in a register
	registers() []VecPhysical                           //
	load(m Mem, dst VecPhysical)                        // aligned
	store(x VecPhysical, m Mem)                         // aligned
	xor(x Op, y, dst VecPhysical)                       //
	rotateOf(n int, x, to VecPhysical)                  // to ^ x is x rotated to the left by n, x is lost
	rotate(n int, x, t, into VecPhysical)               // into ^= x rotated to the left; x and t are lost
	put(rows []VecPhysical, t []VecPhysical, to []Mem)  // store four rows, each hash's by itself at to; rows and t are lost
	get(from []Mem, t []VecPhysical, dst []VecPhysical) // the inverse
}

func scryptAVX2() {
	romix("romixAVX2x2", wide256{}, 1)
	romix("romixAVX2x6", wide256{}, 3)
	romix("romixAVX2x8", wide256{}, 4)
}

func scryptAVX512() {
	romix("romixAVX512x4", wide512{}, 1)
	romix("romixAVX512x16", wide512{}, 4)
	romix("romixAVX512x24", wide512{}, 6)
}

// Bytes between the V of one chain and the next beyond its own: without them the
// chains' blocks would meet in the same sets of the cache.
const romixSkew = 576

// romix writes the function for chains registers full of hashes. The memory at
// x holds, for each chain, eight rows; that at v the chains' V one after the
// other, romixSkew bytes apart: block i of all the chain's hashes, then i+1.
func romix(name string, w wide, chains int) {
	lanes := w.size() / 16 // hashes in a chain
	blocks := lanes * blockSize
	TEXT(name, 0, "func(x, v *byte)")
	Doc(fmt.Sprintf("%s is ROMix for %d hashes. x is %d rows, v %d bytes, both aligned to 64.",
		name, chains*lanes, 8*chains, chains*(romixN*blocks+romixSkew)))
	Pragma("noescape")
	x, v, left := RDI, RSI, RCX
	Load(Param("x"), x)
	Load(Param("v"), v)

	free := w.registers()
	rows := make([][]VecPhysical, chains)
	spilt := -1 // the chain whose rows live in the frame: there are too few registers
	for c := range rows {
		if len(free) < 8 && c == chains-1 && c > 0 {
			spilt, rows[c] = c, free[:4]
		} else {
			rows[c], free = free[:4], free[4:]
		}
	}
	home := func(r int) Mem { return Mem{Base: R12, Disp: r * w.size()} } // of the spilt chain's row r
	if spilt >= 0 {
		LEAQ(AllocLocal(5*w.size()).Offset(w.size()-1), R12)
		ANDQ(I8(-w.size()), R12)
	}
	row := func(c, r int) Mem { return Mem{Base: x, Disp: (8*c + r) * w.size()} }
	vOf := func(c int) int { return c * (romixN*blocks + romixSkew) }

	// begin readies a half of scryptBlockMix: x is its input. That of half 0
	// is in rows already; the other half's result is in rows from there.
	begin := func(c, half int) {
		for r, x := range rows[c] {
			if c == spilt {
				w.load(home(r), x)
			}
			w.xor(row(c, 4+r), x, x)
			w.store(x, row(c, 4*half+r))
			if c == spilt {
				w.store(x, home(r))
			}
		}
	}
	// step of the spilt chain: between steps two of its rows are in registers of
	// free, the first two of s, in the order x[step], x[step-1].
	stepSpilt := func(step, n int, s []VecPhysical) []VecPhysical {
		a, d, t, u := s[0], s[1], s[2], s[3]
		if step == 0 { // row 3 is at home
			VPADDD(home(3), a, t)
			w.store(a, home(0))
		} else {
			VPADDD(a, d, t)
		}
		w.rotateOf(n, t, u)
		w.xor(home((step+1)%4), u, u)
		w.xor(t, u, u)
		switch step { // what is not read again goes home, from column to row
		case 2:
			VPSHUFD(U8(0x93), d, d)
			w.store(d, home(3))
		case 3:
			VPSHUFD(U8(0x4e), d, d)
			w.store(d, home(2))
			VPSHUFD(U8(0x39), a, a)
			w.store(a, home(1))
		}
		return []VecPhysical{u, a, d, t}
	}
	// halves does the Salsa20/8 of some halves in step.
	type part struct{ c, half int }
	halves := func(parts ...part) {
		free := free
		withSpilt := false
		for _, p := range parts {
			begin(p.c, p.half)
			withSpilt = withSpilt || p.c == spilt
		}
		if withSpilt {
			w.load(home(0), free[0])
		}
		for range 8 {
			for step, n := range []int{7, 9, 13, 18} {
				// rows b ^= (a + d) <<< 7, c ^= (b + a) <<< 9, …
				for i, p := range parts {
					if p.c == spilt {
						free = stepSpilt(step, n, free)
						continue
					}
					x := rows[p.c]
					pairs := len(free) / 2
					t, u := free[2*(i%pairs)], free[2*(i%pairs)+1]
					if withSpilt {
						t, u = free[2], free[3]
					}
					VPADDD(x[step], x[(step+3)%4], t)
					w.rotate(n, t, u, x[(step+1)%4])
				}
			}
			for _, p := range parts {
				if p.c == spilt {
					continue
				}
				x := rows[p.c]
				VPSHUFD(U8(0x93), x[1], x[1])
				VPSHUFD(U8(0x4e), x[2], x[2])
				VPSHUFD(U8(0x39), x[3], x[3])
				x[1], x[3] = x[3], x[1]
			}
		}
		for _, p := range parts {
			for r, x := range rows[p.c] {
				if p.c == spilt && r == 0 {
					x = free[0]
				} else if p.c == spilt {
					x = free[1]
					w.load(home(r), x)
				}
				VPADDD(row(p.c, 4*p.half+r), x, x)
				w.store(x, row(p.c, 4*p.half+r))
				if p.c == spilt {
					w.store(x, home(r))
				}
			}
		}
	}
	some := func(chains []int, half int) (parts []part) {
		for _, c := range chains {
			parts = append(parts, part{c, half})
		}
		return parts
	}
	var everyone, early, late []int // chains; the late ones are half a step behind
	for c := range chains {
		everyone = append(everyone, c)
		if c < (chains+1)/2 {
			early = append(early, c)
		} else {
			late = append(late, c)
		}
	}

	Comment("V[i] = X")
	MOVQ(U32(romixN), left)
	Label("fill")
	for _, c := range everyone {
		for _, half := range []int{1, 0} {
			var to []Mem
			for l := range lanes {
				to = append(to, Mem{Base: v, Disp: vOf(c) + l*blockSize + half*64})
			}
			for r, x := range rows[c] {
				w.load(row(c, 4*half+r), x)
			}
			w.put(rows[c], free, to)
		}
		for r, x := range rows[c] {
			w.load(row(c, r), x)
			if c == spilt {
				w.store(x, home(r))
			}
		}
	}
	halves(some(everyone, 0)...)
	halves(some(everyone, 1)...)
	ADDQ(U32(blocks), v)
	DECQ(left)
	JNZ(LabelRef("fill"))

	// look does X ^= V[X mod N]; it leaves half 0 in rows only.
	pointers := []GPPhysical{R8, R9, R10, R11}[:lanes]
	look := func(chains []int) {
		for _, c := range chains {
			for l, p := range pointers {
				MOVL(row(c, 4).Offset(16*l), p.As32())
				ANDL(U32(romixN-1), p.As32())
				IMUL3Q(U32(blocks), p, p)
			}
			for _, half := range []int{1, 0} {
				var from []Mem
				for l, p := range pointers {
					from = append(from, Mem{Base: v, Index: p, Scale: 1, Disp: vOf(c) + l*blockSize + half*64})
				}
				w.get(from, free, rows[c])
				for r, x := range rows[c] {
					w.xor(row(c, 4*half+r), x, x)
					if half == 1 {
						w.store(x, row(c, 4*half+r))
					} else if c == spilt {
						w.store(x, home(r))
					}
				}
			}
		}
	}
	Comment("X = BlockMix(X ^ V[X mod N]). While some chains wait for V, the others are")
	Comment("half a step away from it and work.")
	SUBQ(U32(romixN*blocks), v)
	look(early)
	halves(some(early, 0)...)
	MOVQ(U32(romixN-1), left)
	Label("read")
	look(late)
	halves(append(some(early, 1), some(late, 0)...)...)
	look(early)
	halves(append(some(early, 0), some(late, 1)...)...)
	DECQ(left)
	JNZ(LabelRef("read"))
	look(late)
	halves(append(some(early, 1), some(late, 0)...)...)
	if len(late) > 0 {
		halves(some(late, 1)...)
	}
	VZEROUPPER()
	RET()
}

// wide256 is AVX2: two hashes in a register.
type wide256 struct{}

func (wide256) size() int { return 32 }

func (wide256) registers() []VecPhysical {
	return []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}
}

func (wide256) load(m Mem, dst VecPhysical)  { VMOVDQA(m, dst) }
func (wide256) store(x VecPhysical, m Mem)   { VMOVDQA(x, m) }
func (wide256) xor(x Op, y, dst VecPhysical) { VPXOR(x, y, dst) }

func (wide256) rotateOf(n int, x, to VecPhysical) {
	VPSLLD(U8(n), x, to)
	VPSRLD(U8(32-n), x, x)
}

func (m wide256) rotate(n int, x, t, into VecPhysical) {
	m.rotateOf(n, x, t)
	VPXOR(t, into, into)
	VPXOR(x, into, into)
}

func (wide256) put(rows, _ []VecPhysical, to []Mem) {
	for r, x := range rows {
		VMOVDQA(x.AsX(), to[0].Offset(16*r))
		VEXTRACTI128(U8(1), x, to[1].Offset(16*r))
	}
}

func (wide256) get(from []Mem, _, dst []VecPhysical) {
	for r, x := range dst {
		VMOVDQA(from[0].Offset(16*r), x.AsX())
		VINSERTI128(U8(1), from[1].Offset(16*r), x, x)
	}
}

// wide512 is AVX-512 F: four hashes in a register.
type wide512 struct{}

func (wide512) size() int                    { return 64 }
func (wide512) registers() []VecPhysical     { return avx512{}.registers() }
func (wide512) load(m Mem, dst VecPhysical)  { VMOVDQA32(m, dst) }
func (wide512) store(x VecPhysical, m Mem)   { VMOVDQA32(x, m) }
func (wide512) xor(x Op, y, dst VecPhysical) { VPXORD(x, y, dst) }

func (wide512) rotateOf(int, VecPhysical, VecPhysical) { panic("there are registers enough") }
func (wide512) rotate(n int, x, _, into VecPhysical) {
	VPROLD(U8(n), x, x)
	VPXORD(x, into, into)
}

// transpose takes row r of hash l from register r, 128 bits l, to register l,
// 128 bits r. It is its own inverse.
func transpose(x, t []VecPhysical) {
	VSHUFI32X4(U8(0x44), x[1], x[0], t[0])
	VSHUFI32X4(U8(0x44), x[3], x[2], t[1])
	VSHUFI32X4(U8(0xee), x[1], x[0], t[2])
	VSHUFI32X4(U8(0xee), x[3], x[2], t[3])
	VSHUFI32X4(U8(0x88), t[1], t[0], x[0])
	VSHUFI32X4(U8(0xdd), t[1], t[0], x[1])
	VSHUFI32X4(U8(0x88), t[3], t[2], x[2])
	VSHUFI32X4(U8(0xdd), t[3], t[2], x[3])
}

func (wide512) put(rows, t []VecPhysical, to []Mem) {
	transpose(rows, t)
	for l, x := range rows {
		VMOVDQA32(x, to[l])
	}
}

func (wide512) get(from []Mem, t, dst []VecPhysical) {
	for l, x := range dst {
		VMOVDQA32(from[l], x)
	}
	transpose(dst, t)
}
