// A search for SHA-256 applied twice to a block header, FIPS 180-4, for OpenCL C
// 1.2. What does not depend on the nonce comes in job, whose words are (job.go):
//
//	 0..7   state after round 3 of the header's second block, the nonce taken as 0
//	 8..15  state after the header's first block
//	16, 17  W+K of rounds 16 and 17
//	18..31  constant parts of the message words 18..31
//	32      highest word of the target
//	33, 34  message words 16 and 17

__constant uint K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define ROR(x, n) rotate((uint)(x), (uint)(32 - (n)))
#define SIGMA0(x) (ROR(x, 2) ^ ROR(x, 13) ^ ROR(x, 22))
#define SIGMA1(x) (ROR(x, 6) ^ ROR(x, 11) ^ ROR(x, 25))
#define sigma0(x) (ROR(x, 7) ^ ROR(x, 18) ^ ((x) >> 3))
#define sigma1(x) (ROR(x, 17) ^ ROR(x, 19) ^ ((x) >> 10))
#define CHOOSE(e, f, g) bitselect(g, f, e)
#define MAJORITY(a, b, c) bitselect(a, c, (a) ^ (b))
#define REVERSE(x) ((ROR(x, 8) & 0xff00ff00u) | (ROR(x, 24) & 0x00ff00ffu))

// A round; wk is W+K.
#define ROUND(a, b, c, d, e, f, g, h, wk)          \
	h += SIGMA1(e) + CHOOSE(e, f, g) + (wk);       \
	d += h;                                            \
	h += SIGMA0(a) + MAJORITY(a, b, c);

// The word in place i, and the one that follows it there after sixteen rounds.
#define OLD(i) w[i]
#define NEW(i) (w[i] += sigma1(w[((i) + 14) & 15]) + w[((i) + 9) & 15] + sigma0(w[((i) + 1) & 15]))

// Sixteen rounds from t, a multiple of 16, with the words by WORD.
#define SIXTEEN(WORD, t)                                     \
	ROUND(a, b, c, d, e, f, g, h, WORD(0) + K[(t) + 0])     \
	ROUND(h, a, b, c, d, e, f, g, WORD(1) + K[(t) + 1])     \
	ROUND(g, h, a, b, c, d, e, f, WORD(2) + K[(t) + 2])     \
	ROUND(f, g, h, a, b, c, d, e, WORD(3) + K[(t) + 3])     \
	ROUND(e, f, g, h, a, b, c, d, WORD(4) + K[(t) + 4])     \
	ROUND(d, e, f, g, h, a, b, c, WORD(5) + K[(t) + 5])     \
	ROUND(c, d, e, f, g, h, a, b, WORD(6) + K[(t) + 6])     \
	ROUND(b, c, d, e, f, g, h, a, WORD(7) + K[(t) + 7])     \
	ROUND(a, b, c, d, e, f, g, h, WORD(8) + K[(t) + 8])     \
	ROUND(h, a, b, c, d, e, f, g, WORD(9) + K[(t) + 9])     \
	ROUND(g, h, a, b, c, d, e, f, WORD(10) + K[(t) + 10])   \
	ROUND(f, g, h, a, b, c, d, e, WORD(11) + K[(t) + 11])   \
	ROUND(e, f, g, h, a, b, c, d, WORD(12) + K[(t) + 12])   \
	ROUND(d, e, f, g, h, a, b, c, WORD(13) + K[(t) + 13])   \
	ROUND(c, d, e, f, g, h, a, b, WORD(14) + K[(t) + 14])   \
	ROUND(b, c, d, e, f, g, h, a, WORD(15) + K[(t) + 15])

__kernel void search(__constant uint *job, uint first, uint count, __global uint *found, __global uint4 *scratch)
{
	uint index = get_global_id(0);
	if (index >= count)
		return;
	uint nonce = first + index;
	uint n = REVERSE(nonce);
	uint w[16];

	// The header's second block, from round 4: a is where round 4 has it.
	uint e = job[0] + n, f = job[1], g = job[2], h = job[3];
	uint a = job[4] + n, b = job[5], c = job[6], d = job[7];
	ROUND(e, f, g, h, a, b, c, d, K[4] + 0x80000000u)
	ROUND(d, e, f, g, h, a, b, c, K[5])
	ROUND(c, d, e, f, g, h, a, b, K[6])
	ROUND(b, c, d, e, f, g, h, a, K[7])
	ROUND(a, b, c, d, e, f, g, h, K[8])
	ROUND(h, a, b, c, d, e, f, g, K[9])
	ROUND(g, h, a, b, c, d, e, f, K[10])
	ROUND(f, g, h, a, b, c, d, e, K[11])
	ROUND(e, f, g, h, a, b, c, d, K[12])
	ROUND(d, e, f, g, h, a, b, c, K[13])
	ROUND(c, d, e, f, g, h, a, b, K[14])
	ROUND(b, c, d, e, f, g, h, a, K[15] + 640)
	ROUND(a, b, c, d, e, f, g, h, job[16])
	ROUND(h, a, b, c, d, e, f, g, job[17])

	// Words 16 and 17 do not vary, the next ones in few of their terms.
	w[0] = job[33];
	w[1] = job[34];
	w[2] = sigma0(n) + job[18];
	w[3] = n + job[19];
	w[4] = sigma1(w[2]) + job[20];
	w[5] = sigma1(w[3]);
	w[6] = sigma1(w[4]) + job[22];
	w[7] = sigma1(w[5]) + job[23];
	w[8] = sigma1(w[6]) + job[24];
	w[9] = sigma1(w[7]) + w[2];
	w[10] = sigma1(w[8]) + w[3];
	w[11] = sigma1(w[9]) + w[4];
	w[12] = sigma1(w[10]) + w[5];
	w[13] = sigma1(w[11]) + w[6];
	w[14] = sigma1(w[12]) + w[7] + job[30];
	w[15] = sigma1(w[13]) + w[8] + job[31];
	ROUND(g, h, a, b, c, d, e, f, w[2] + K[18])
	ROUND(f, g, h, a, b, c, d, e, w[3] + K[19])
	ROUND(e, f, g, h, a, b, c, d, w[4] + K[20])
	ROUND(d, e, f, g, h, a, b, c, w[5] + K[21])
	ROUND(c, d, e, f, g, h, a, b, w[6] + K[22])
	ROUND(b, c, d, e, f, g, h, a, w[7] + K[23])
	ROUND(a, b, c, d, e, f, g, h, w[8] + K[24])
	ROUND(h, a, b, c, d, e, f, g, w[9] + K[25])
	ROUND(g, h, a, b, c, d, e, f, w[10] + K[26])
	ROUND(f, g, h, a, b, c, d, e, w[11] + K[27])
	ROUND(e, f, g, h, a, b, c, d, w[12] + K[28])
	ROUND(d, e, f, g, h, a, b, c, w[13] + K[29])
	ROUND(c, d, e, f, g, h, a, b, w[14] + K[30])
	ROUND(b, c, d, e, f, g, h, a, w[15] + K[31])
#ifndef ROLLED
#pragma unroll
#endif
	for (int t = 32; t < 64; t += 16) {
		SIXTEEN(NEW, t)
	}
	w[0] = a + job[8];
	w[1] = b + job[9];
	w[2] = c + job[10];
	w[3] = d + job[11];
	w[4] = e + job[12];
	w[5] = f + job[13];
	w[6] = g + job[14];
	w[7] = h + job[15];

	// The second hash, of that.
	w[8] = 0x80000000u;
	w[9] = 0;
	w[10] = 0;
	w[11] = 0;
	w[12] = 0;
	w[13] = 0;
	w[14] = 0;
	w[15] = 256;
	a = 0x6a09e667u;
	b = 0xbb67ae85u;
	c = 0x3c6ef372u;
	d = 0xa54ff53au;
	e = 0x510e527fu;
	f = 0x9b05688cu;
	g = 0x1f83d9abu;
	h = 0x5be0cd19u;
	SIXTEEN(OLD, 0)
#ifndef ROLLED
#pragma unroll
#endif
	for (int t = 16; t < 48; t += 16) {
		SIXTEEN(NEW, t)
	}
	ROUND(a, b, c, d, e, f, g, h, NEW(0) + K[48])
	ROUND(h, a, b, c, d, e, f, g, NEW(1) + K[49])
	ROUND(g, h, a, b, c, d, e, f, NEW(2) + K[50])
	ROUND(f, g, h, a, b, c, d, e, NEW(3) + K[51])
	ROUND(e, f, g, h, a, b, c, d, NEW(4) + K[52])
	ROUND(d, e, f, g, h, a, b, c, NEW(5) + K[53])
	ROUND(c, d, e, f, g, h, a, b, NEW(6) + K[54])
	ROUND(b, c, d, e, f, g, h, a, NEW(7) + K[55])
	ROUND(a, b, c, d, e, f, g, h, NEW(8) + K[56])
	ROUND(h, a, b, c, d, e, f, g, NEW(9) + K[57])
	ROUND(g, h, a, b, c, d, e, f, NEW(10) + K[58])
	ROUND(f, g, h, a, b, c, d, e, NEW(11) + K[59])
	ROUND(e, f, g, h, a, b, c, d, NEW(12) + K[60])

	// Word 7 of the hash is E after round 60.
	uint highest = h + 0x5be0cd19u;
	if (REVERSE(highest) <= job[32]) {
		uint at = atomic_inc(found);
		if (at < FOUND)
			found[1 + at] = nonce;
	}
}
