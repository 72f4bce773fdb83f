//go:build !purego

#include "textflag.h"

#define EIGHT \
	ADD R1, R0 \
	ADD R1, R0 \
	ADD R1, R0 \
	ADD R1, R0 \
	ADD R1, R0 \
	ADD R1, R0 \
	ADD R1, R0 \
	ADD R1, R0

// func addChain(loops int)
TEXT ·addChain(SB), NOSPLIT, $0-8
	MOVD loops+0(FP), R2
	MOVD R2, R1
	MOVD $0, R0

next:
	EIGHT
	EIGHT
	EIGHT
	EIGHT
	EIGHT
	EIGHT
	EIGHT
	EIGHT
	SUB $1, R2
	CBNZ R2, next
	RET
