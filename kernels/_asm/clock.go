package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// addChain adds a register to another again and again: each addition waits for
// the one before it. (Some CPUs do additions of a constant while renaming.)
func clock() {
	TEXT("addChain", NOSPLIT, "func(loops int)")
	Doc("addChain takes 64 cycles a loop.")
	Load(Param("loops"), RCX)
	XORL(EAX, EAX)
	MOVQ(RCX, RDX)
	Label("next")
	for range 64 {
		ADDQ(RDX, RAX)
	}
	DECQ(RCX)
	JNZ(LabelRef("next"))
	RET()
}
