package stratumtest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/adit-pool/adit/pool"
)

// chain is a chain with Bitcoin's headers and hashes and a plain coinbase. Its addresses are words that
// begin with "test".
type chain struct{ params pool.Params }

func newChain() *chain {
	one, err := pool.TargetFromBits(0x1d00ffff)
	if err != nil {
		panic(err)
	}
	return &chain{pool.Params{
		Coin: "testcoin", Network: "test", Symbol: "TST", Decimals: 8, Maturity: 100,
		BlockTime: 10 * time.Minute, DiffOne: one,
	}}
}

func (c *chain) Params() *pool.Params { return &c.params }

func (c *chain) Script(address string) ([]byte, error) {
	if !strings.HasPrefix(address, "test") {
		return nil, errors.New("an address of this network begins with \"test\"")
	}
	h := sha256.Sum256([]byte(address))
	return append([]byte{0x00, 0x14}, h[:20]...), nil
}

func (c *chain) Address([]byte) (string, error) { return "", errors.New("not kept") }
func (c *chain) Subsidy(int64) pool.Amount      { return 5_000_000_000 }
func (c *chain) PowHash(h *[80]byte) pool.Hash  { return pool.DoubleSHA256(h[:]) }
func (c *chain) PowHashes(headers [][80]byte, out []pool.Hash) {
	for i := range headers {
		out[i] = c.PowHash(&headers[i])
	}
}
func (c *chain) MerkleRoots(coinbases [][]byte, branch []pool.Hash, roots []pool.Hash) {
	for i, b := range coinbases {
		roots[i] = pool.MerkleRoot(pool.DoubleSHA256(b), branch)
	}
}
func (c *chain) BlockID(h *[80]byte) pool.Hash { return pool.DoubleSHA256(h[:]) }

func (c *chain) Coinbase(t *pool.Template, spec *pool.CoinbaseSpec) (prefix, suffix []byte, err error) {
	script := binary.LittleEndian.AppendUint32([]byte{4}, uint32(t.Height))
	script = append(script, spec.Tag...)
	script = append(script, spec.Aux...)
	script = binary.BigEndian.AppendUint64(script, spec.Epoch)
	if n := len(script) + spec.ExtranonceSize; n > 100 {
		return nil, nil, errors.New("coinbase script is longer than 100 bytes")
	}
	prefix = append([]byte{1, 0, 0, 0, 1}, make([]byte, 32)...)
	prefix = append(prefix, 0xff, 0xff, 0xff, 0xff, byte(len(script)+spec.ExtranonceSize))
	prefix = append(prefix, script...)
	suffix = append([]byte{0xff, 0xff, 0xff, 0xff}, byte(len(spec.Outputs)))
	for _, o := range spec.Outputs {
		suffix = binary.LittleEndian.AppendUint64(suffix, uint64(o.Value))
		suffix = append(append(suffix, byte(len(o.Script))), o.Script...)
	}
	return prefix, append(suffix, 0, 0, 0, 0), nil
}

func (c *chain) Block(dst []byte, _ *pool.Template, header *[80]byte, coinbase []byte) ([]byte, error) {
	return append(append(append(dst, header[:]...), 1), coinbase...), nil
}

func (c *chain) ParseCoinbase([]byte) (pool.CoinbaseTx, error) {
	return pool.CoinbaseTx{}, errors.New("not kept")
}
