//go:build !purego

#include "textflag.h"

// SHA-256 (FIPS 180-4) with the instructions of the ARMv8 Cryptography Extension.
// SHA256H and SHA256H2 do four rounds with a register of W+K; abcd and efgh hold
// the state with a and e in the lowest word. K is in V16..V31 all the time.

// HASH does four rounds with the words w. was holds a copy of abcd.
#define HASH(k, w, abcd, efgh, was, t) \
	VADD k.S4, w.S4, t.S4 \
	SHA256H t.S4, efgh, abcd \
	SHA256H2 t.S4, was, efgh \
	VMOV abcd.B16, was.B16

// WORDS begins the words that will follow w0 there after sixteen rounds, and ends
// those in the place of w3, which were begun a step before.
#define WORDS(w0, w1, w2, w3) \
	SHA256SU0 w1.S4, w0.S4 \
	SHA256SU1 w2.S4, w1.S4, w3.S4

// STEP does the rounds with w0 and the words.
#define STEP(k, w0, w1, w2, w3, abcd, efgh, was, t) \
	VADD k.S4, w0.S4, t.S4 \
	WORDS(w0, w1, w2, w3) \
	SHA256H t.S4, efgh, abcd \
	SHA256H2 t.S4, was, efgh \
	VMOV abcd.B16, was.B16

// FIRST is STEP where nothing was begun before.
#define FIRST(k, w0, w1, abcd, efgh, was, t) \
	VADD k.S4, w0.S4, t.S4 \
	SHA256SU0 w1.S4, w0.S4 \
	SHA256H t.S4, efgh, abcd \
	SHA256H2 t.S4, was, efgh \
	VMOV abcd.B16, was.B16

// ENDS is STEP where nothing is begun any more.
#define ENDS(k, w0, w1, w2, w3, abcd, efgh, was, t) \
	VADD k.S4, w0.S4, t.S4 \
	SHA256SU1 w2.S4, w1.S4, w3.S4 \
	SHA256H t.S4, efgh, abcd \
	SHA256H2 t.S4, was, efgh \
	VMOV abcd.B16, was.B16

// LOADK needs R0.
#define LOADK \
	MOVD $·roundConstants(SB), R0 \
	VLD1.P 64(R0), [V16.S4, V17.S4, V18.S4, V19.S4] \
	VLD1.P 64(R0), [V20.S4, V21.S4, V22.S4, V23.S4] \
	VLD1.P 64(R0), [V24.S4, V25.S4, V26.S4, V27.S4] \
	VLD1 (R0), [V28.S4, V29.S4, V30.S4, V31.S4]

// One nonce has its state in V0 and V1 and its words in V4..V7, the other in V8
// and V9, and V12..V15.

// func compressSHA2(state *[8]uint32, p *byte, blocks int)
TEXT ·compressSHA2(SB), NOSPLIT, $0-24
	LOADK
	MOVD state+0(FP), R1
	MOVD p+8(FP), R2
	MOVD blocks+16(FP), R3
	VLD1 (R1), [V0.S4, V1.S4]
	CBZ R3, done

next:
	VLD1.P 64(R2), [V4.B16, V5.B16, V6.B16, V7.B16]
	VREV32 V4.B16, V4.B16
	VREV32 V5.B16, V5.B16
	VREV32 V6.B16, V6.B16
	VREV32 V7.B16, V7.B16
	VMOV V0.B16, V2.B16
	VMOV V0.B16, V12.B16
	VMOV V1.B16, V13.B16
	FIRST(V16, V4, V5, V0, V1, V2, V3)
	STEP(V17, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V18, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V19, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V20, V4, V5, V6, V7, V0, V1, V2, V3)
	STEP(V21, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V22, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V23, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V24, V4, V5, V6, V7, V0, V1, V2, V3)
	STEP(V25, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V26, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V27, V7, V4, V5, V6, V0, V1, V2, V3)
	ENDS(V28, V4, V5, V6, V7, V0, V1, V2, V3)
	HASH(V29, V5, V0, V1, V2, V3)
	HASH(V30, V6, V0, V1, V2, V3)
	HASH(V31, V7, V0, V1, V2, V3)
	VADD V12.S4, V0.S4, V0.S4
	VADD V13.S4, V1.S4, V1.S4
	SUB $1, R3
	CBNZ R3, next

done:
	VST1 [V0.S4, V1.S4], (R1)
	RET

// func scanSHA2x2(job *[24]uint32, nonce uint32, groups int) int
//
// The job is, in registers of four words, the state after round 3 of the header's
// second block, the nonce taken as 0, that after the first block, its words 0..3,
// and the highest word of the target.
TEXT ·scanSHA2x2(SB), NOSPLIT, $0-32
	LOADK
	MOVD job+0(FP), R1
	MOVWU nonce+8(FP), R2
	MOVD groups+16(FP), R3
	MOVD R3, R4 // left
	MOVWU 80(R1), R5
	MOVD $0x5be0cd19, R6
	MOVD $0x80000000, R7
	MOVD $640, R8
	MOVD $256, R9
	CBZ R4, done

next:
	// The header's second block, from round 4: the nonce is added to a and e.
	REVW R2, R10
	ADDW $1, R2, R11
	REVW R11, R11
	VLD1 (R1), [V0.S4, V1.S4]
	VMOV V0.B16, V8.B16
	VMOV V1.B16, V9.B16
	ADD $64, R1, R12
	VLD1 (R12), [V4.S4]
	VMOV V4.B16, V12.B16
	VMOV R10, V4.S[3]
	VMOV R11, V12.S[3]
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V13.B16, V13.B16, V13.B16
	VMOV R10, V5.S[0]
	VMOV R11, V13.S[0]
	VADD V5.S4, V0.S4, V0.S4
	VADD V5.S4, V1.S4, V1.S4
	VADD V13.S4, V8.S4, V8.S4
	VADD V13.S4, V9.S4, V9.S4
	VMOV R7, V5.S[0]
	VMOV R7, V13.S[0]
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V14.B16, V14.B16, V14.B16
	VEOR V7.B16, V7.B16, V7.B16
	VMOV R8, V7.S[3]
	VMOV V7.B16, V15.B16
	VMOV V0.B16, V2.B16
	VMOV V8.B16, V10.B16
	SHA256SU0 V5.S4, V4.S4
	SHA256SU0 V13.S4, V12.S4
	STEP(V17, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V17, V13, V14, V15, V12, V8, V9, V10, V11)
	STEP(V18, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V18, V14, V15, V12, V13, V8, V9, V10, V11)
	STEP(V19, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V19, V15, V12, V13, V14, V8, V9, V10, V11)
	STEP(V20, V4, V5, V6, V7, V0, V1, V2, V3)
	STEP(V20, V12, V13, V14, V15, V8, V9, V10, V11)
	STEP(V21, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V21, V13, V14, V15, V12, V8, V9, V10, V11)
	STEP(V22, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V22, V14, V15, V12, V13, V8, V9, V10, V11)
	STEP(V23, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V23, V15, V12, V13, V14, V8, V9, V10, V11)
	STEP(V24, V4, V5, V6, V7, V0, V1, V2, V3)
	STEP(V24, V12, V13, V14, V15, V8, V9, V10, V11)
	STEP(V25, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V25, V13, V14, V15, V12, V8, V9, V10, V11)
	STEP(V26, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V26, V14, V15, V12, V13, V8, V9, V10, V11)
	STEP(V27, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V27, V15, V12, V13, V14, V8, V9, V10, V11)
	ENDS(V28, V4, V5, V6, V7, V0, V1, V2, V3)
	ENDS(V28, V12, V13, V14, V15, V8, V9, V10, V11)
	HASH(V29, V5, V0, V1, V2, V3)
	HASH(V29, V13, V8, V9, V10, V11)
	HASH(V30, V6, V0, V1, V2, V3)
	HASH(V30, V14, V8, V9, V10, V11)
	HASH(V31, V7, V0, V1, V2, V3)
	HASH(V31, V15, V8, V9, V10, V11)

	// The second hash, of that.
	ADD $32, R1, R12
	VLD1 (R12), [V6.S4, V7.S4]
	VADD V6.S4, V0.S4, V4.S4
	VADD V7.S4, V1.S4, V5.S4
	VADD V6.S4, V8.S4, V12.S4
	VADD V7.S4, V9.S4, V13.S4
	VEOR V6.B16, V6.B16, V6.B16
	VMOV R7, V6.S[0]
	VMOV V6.B16, V14.B16
	VEOR V7.B16, V7.B16, V7.B16
	VMOV R9, V7.S[3]
	VMOV V7.B16, V15.B16
	MOVD $·initial(SB), R12
	VLD1 (R12), [V0.S4, V1.S4]
	VMOV V0.B16, V8.B16
	VMOV V1.B16, V9.B16
	VMOV V0.B16, V2.B16
	VMOV V0.B16, V10.B16
	FIRST(V16, V4, V5, V0, V1, V2, V3)
	FIRST(V16, V12, V13, V8, V9, V10, V11)
	STEP(V17, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V17, V13, V14, V15, V12, V8, V9, V10, V11)
	STEP(V18, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V18, V14, V15, V12, V13, V8, V9, V10, V11)
	STEP(V19, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V19, V15, V12, V13, V14, V8, V9, V10, V11)
	STEP(V20, V4, V5, V6, V7, V0, V1, V2, V3)
	STEP(V20, V12, V13, V14, V15, V8, V9, V10, V11)
	STEP(V21, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V21, V13, V14, V15, V12, V8, V9, V10, V11)
	STEP(V22, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V22, V14, V15, V12, V13, V8, V9, V10, V11)
	STEP(V23, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V23, V15, V12, V13, V14, V8, V9, V10, V11)
	STEP(V24, V4, V5, V6, V7, V0, V1, V2, V3)
	STEP(V24, V12, V13, V14, V15, V8, V9, V10, V11)
	STEP(V25, V5, V6, V7, V4, V0, V1, V2, V3)
	STEP(V25, V13, V14, V15, V12, V8, V9, V10, V11)
	STEP(V26, V6, V7, V4, V5, V0, V1, V2, V3)
	STEP(V26, V14, V15, V12, V13, V8, V9, V10, V11)
	STEP(V27, V7, V4, V5, V6, V0, V1, V2, V3)
	STEP(V27, V15, V12, V13, V14, V8, V9, V10, V11)
	ENDS(V28, V4, V5, V6, V7, V0, V1, V2, V3)
	ENDS(V28, V12, V13, V14, V15, V8, V9, V10, V11)
	HASH(V29, V5, V0, V1, V2, V3)
	HASH(V29, V13, V8, V9, V10, V11)
	HASH(V30, V6, V0, V1, V2, V3)
	HASH(V30, V14, V8, V9, V10, V11)
	HASH(V31, V7, V0, V1, V2, V3)
	HASH(V31, V15, V8, V9, V10, V11)

	// Word 7 of the hash is the highest.
	VMOV V1.S[3], R10
	VMOV V9.S[3], R11
	ADDW R6, R10, R10
	ADDW R6, R11, R11
	REVW R10, R10
	REVW R11, R11
	CMPW R5, R10
	BLS done
	CMPW R5, R11
	BLS done
	ADDW $2, R2
	SUB $1, R4
	CBNZ R4, next

done:
	SUB R4, R3, R3
	MOVD R3, ret+24(FP)
	RET
