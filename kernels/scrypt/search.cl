// A search for scrypt (RFC 7914) with N=1024, r=1, p=1 over a block header, for
// OpenCL C 1.2. job holds the header's 20 words, big-endian, and the highest
// word of the target. scratch has 128 KiB for each work item of the launch.

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

__constant uint INITIAL[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

#define ROL(x, n) rotate(x, (uint4)(n))
#define ROR(x, n) rotate((uint)(x), (uint)(32 - (n)))
#define REVERSE(x) ((ROR(x, 8) & 0xff00ff00u) | (ROR(x, 24) & 0x00ff00ffu))

// compress adds a block of 16 words to state; the words are lost.
void compress(uint *state, uint *w)
{
	uint s[8];
	for (int i = 0; i < 8; i++)
		s[i] = state[i];
	for (int t = 0; t < 64; t++) {
		if (t >= 16) {
			uint x = w[(t + 1) & 15], y = w[(t + 14) & 15];
			w[t & 15] += (ROR(x, 7) ^ ROR(x, 18) ^ (x >> 3)) + w[(t + 9) & 15] + (ROR(y, 17) ^ ROR(y, 19) ^ (y >> 10));
		}
		uint a = s[0], e = s[4];
		uint t1 = s[7] + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + bitselect(s[6], s[5], e) + K[t] + w[t & 15];
		uint t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + bitselect(a, s[2], a ^ s[1]);
		for (int i = 7; i > 0; i--)
			s[i] = s[i - 1];
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		state[i] += s[i];
}

void begin(uint *state)
{
	for (int i = 0; i < 8; i++)
		state[i] = INITIAL[i];
}

void copy(uint *to, const uint *from)
{
	for (int i = 0; i < 8; i++)
		to[i] = from[i];
}

// tail makes the words from..15 the end of a message of so many bytes.
void tail(uint *w, int from, uint bytes)
{
	w[from] = 0x80000000u;
	for (int i = from + 1; i < 15; i++)
		w[i] = 0;
	w[15] = 8 * bytes;
}

// finish makes state, the inner hash of HMAC, its result.
void finish(uint *state, const uint *outer)
{
	uint w[16];
	copy(w, state);
	tail(w, 8, 64 + 32);
	copy(state, outer);
	compress(state, w);
}

// salsa is Salsa20/8 (section 3) of x ^ y, added to it, into x. A block is in four
// vectors, the diagonals of its matrix:
// x0 x5 x10 x15 | x4 x9 x14 x3 | x8 x13 x2 x7 | x12 x1 x6 x11.
void salsa(uint4 *x, const uint4 *y)
{
	uint4 a = x[0] ^ y[0], b = x[1] ^ y[1], c = x[2] ^ y[2], d = x[3] ^ y[3];
	x[0] = a;
	x[1] = b;
	x[2] = c;
	x[3] = d;
	for (int i = 0; i < 4; i++) {
		b ^= ROL(a + d, 7);
		c ^= ROL(b + a, 9);
		d ^= ROL(c + b, 13);
		a ^= ROL(d + c, 18);
		uint4 rows = b.wxyz; // from columns to rows
		b = d.yzwx;
		c = c.zwxy;
		d = rows;
		b ^= ROL(a + d, 7);
		c ^= ROL(b + a, 9);
		d ^= ROL(c + b, 13);
		a ^= ROL(d + c, 18);
		rows = b.wxyz;
		b = d.yzwx;
		c = c.zwxy;
		d = rows;
	}
	x[0] += a;
	x[1] += b;
	x[2] += c;
	x[3] += d;
}

// mix is scryptBlockMix (section 4) with r = 1.
void mix(uint4 *x)
{
	salsa(x, x + 4);
	salsa(x + 4, x);
}

// diagonals gives the words b of a block as vectors, and words the inverse.
void diagonals(uint4 *x, const uint *b)
{
	x[0] = (uint4)(b[0], b[5], b[10], b[15]);
	x[1] = (uint4)(b[4], b[9], b[14], b[3]);
	x[2] = (uint4)(b[8], b[13], b[2], b[7]);
	x[3] = (uint4)(b[12], b[1], b[6], b[11]);
}

void words(uint *b, const uint4 *x)
{
	b[0] = x[0].x; b[5] = x[0].y; b[10] = x[0].z; b[15] = x[0].w;
	b[4] = x[1].x; b[9] = x[1].y; b[14] = x[1].z; b[3] = x[1].w;
	b[8] = x[2].x; b[13] = x[2].y; b[2] = x[2].z; b[7] = x[2].w;
	b[12] = x[3].x; b[1] = x[3].y; b[6] = x[3].z; b[11] = x[3].w;
}

__kernel void search(__constant uint *job, uint first, uint count, __global uint *found, __global uint4 *scratch)
{
	uint index = get_global_id(0), items = get_global_size(0);
	if (index >= count)
		return;
	uint nonce = first + index;
	uint n = REVERSE(nonce);
	uint w[16], key[8], inner[8], outer[8], salted[8], state[8], b[32];
	uint4 x[8];

	// HMAC-SHA256 with the header as key: the hash of the header, as it is longer than a block.
	begin(key);
	for (int i = 0; i < 16; i++)
		w[i] = job[i];
	compress(key, w);
	for (int i = 0; i < 3; i++)
		w[i] = job[16 + i];
	w[3] = n;
	tail(w, 4, 80);
	compress(key, w);
	for (int i = 0; i < 16; i++)
		w[i] = (i < 8 ? key[i] : 0) ^ 0x36363636u;
	begin(inner);
	compress(inner, w);
	for (int i = 0; i < 16; i++)
		w[i] = (i < 8 ? key[i] : 0) ^ 0x5c5c5c5cu;
	begin(outer);
	compress(outer, w);

	// PBKDF2 with the header as salt: four blocks of 32 bytes.
	copy(salted, inner);
	for (int i = 0; i < 16; i++)
		w[i] = job[i];
	compress(salted, w);
	for (uint k = 0; k < 4; k++) {
		for (int i = 0; i < 3; i++)
			w[i] = job[16 + i];
		w[3] = n;
		w[4] = k + 1;
		tail(w, 5, 64 + 80 + 4);
		copy(state, salted);
		compress(state, w);
		finish(state, outer);
		for (int i = 0; i < 8; i++)
			b[8 * k + i] = REVERSE(state[i]);
	}

	// ROMix (section 5). V of all items is interleaved by blocks of 128 bytes, so
	// that what the items write in step lies together.
	diagonals(x, b);
	diagonals(x + 4, b + 16);
	for (uint i = 0; i < 1024; i++) {
		__global uint4 *v = scratch + ((size_t)i * items + index) * 8;
		for (int k = 0; k < 8; k++)
			v[k] = x[k];
		mix(x);
	}
	for (uint i = 0; i < 1024; i++) {
		__global const uint4 *v = scratch + ((size_t)(x[4].x & 1023) * items + index) * 8;
		for (int k = 0; k < 8; k++)
			x[k] ^= v[k];
		mix(x);
	}
	words(b, x);
	words(b + 16, x + 4);

	// PBKDF2 with that as salt: one block.
	copy(state, inner);
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 16; i++)
			w[i] = REVERSE(b[16 * k + i]);
		compress(state, w);
	}
	w[0] = 1;
	tail(w, 1, 64 + 128 + 4);
	compress(state, w);
	finish(state, outer);
	if (REVERSE(state[7]) <= job[20]) {
		uint at = atomic_inc(found);
		if (at < FOUND)
			found[1 + at] = nonce;
	}
}
