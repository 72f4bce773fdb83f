package pool

import (
	"encoding/binary"
	"math/big"
)

// toyChain is a chain whose proof of work costs nothing: the number of a hash is 64 mixed bits of the
// header at the top. Its block ids are real, its coinbase is not.
type toyChain struct{ params Params }

func newToyChain() *toyChain {
	one, _ := TargetFromBig(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))
	return &toyChain{Params{Coin: "toy", Network: "test", DiffOne: one, SeparatePow: true, Maturity: 100}}
}

func (c *toyChain) Params() *Params                 { return &c.params }
func (c *toyChain) Script(a string) ([]byte, error) { return []byte(a), nil }
func (c *toyChain) Address(s []byte) (string, error) {
	return string(s), nil
}
func (c *toyChain) Subsidy(int64) Amount { return 5_000_000_000 }
func (c *toyChain) Coinbase(t *Template, spec *CoinbaseSpec) (prefix, suffix []byte, err error) {
	prefix = binary.BigEndian.AppendUint64([]byte("coinbase"), spec.Epoch)
	for _, o := range spec.Outputs {
		suffix = append(suffix, o.Script...)
		suffix = binary.LittleEndian.AppendUint64(suffix, uint64(o.Value))
	}
	return prefix, suffix, nil
}
func (c *toyChain) Block(dst []byte, _ *Template, header *[80]byte, coinbase []byte) ([]byte, error) {
	return append(append(dst, header[:]...), coinbase...), nil
}
func (c *toyChain) ParseCoinbase([]byte) (CoinbaseTx, error) { return CoinbaseTx{}, nil }
func (c *toyChain) BlockID(h *[80]byte) Hash                 { return DoubleSHA256(h[:]) }
func (c *toyChain) MerkleRoots(coinbases [][]byte, branch []Hash, roots []Hash) {
	for i, b := range coinbases {
		roots[i] = MerkleRoot(DoubleSHA256(b), branch)
	}
}
func (c *toyChain) PowHashes(headers [][80]byte, out []Hash) {
	for i := range headers {
		out[i] = c.PowHash(&headers[i])
	}
}
func (c *toyChain) PowHash(h *[80]byte) (out Hash) {
	x := binary.LittleEndian.Uint64(h[36:]) + 0x9e3779b97f4a7c15*uint64(binary.LittleEndian.Uint32(h[76:])+1)
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	binary.LittleEndian.PutUint64(out[24:], x)
	for i := range out[:24] {
		out[i] = byte(x >> (8 * (i % 8)))
	}
	return out
}

// toyTemplate is a template at a height on a tip, with a network difficulty of 2^exp.
func toyTemplate(height int64, tip byte, bits uint32) *Template {
	return &Template{
		Node: "toy", Height: height, PrevHash: Hash{tip}, Version: 0x20000000, Bits: bits,
		CurTime: 1_700_000_000, MinTime: 1_699_999_000, CoinbaseValue: 5_000_000_000,
	}
}

// toyBits is the compact target of network difficulty near 2^n for the toy chain.
func toyBits(n uint) uint32 {
	// target = 2^(256-n) - small; as compact: exponent e, mantissa 0x008000..0x7fffff
	t := new(big.Int).Lsh(big.NewInt(1), 256-n)
	t.Sub(t, big.NewInt(1))
	size := uint((t.BitLen() + 7) / 8)
	mant := new(big.Int).Rsh(t, 8*(size-3)).Uint64()
	if mant&0x800000 != 0 {
		mant >>= 8
		size++
	}
	return uint32(size)<<24 | uint32(mant)
}
