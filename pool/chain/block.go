package chain

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/adit-pool/adit/pool"
)

// minCoinbase is the length of the shortest coinbase: one output with an empty script.
const minCoinbase = 4 + 1 + 36 + 1 + minScript + 4 + 1 + 9 + 4

// Block appends header ‖ CompactSize(count) ‖ coinbase ‖ transactions ‖ extension. Where the template
// has a witness commitment the coinbase gets its witness, 32 zero bytes (BIP141).
func (c *Coin) Block(dst []byte, t *pool.Template, header *[80]byte, coinbase []byte) ([]byte, error) {
	if len(coinbase) < minCoinbase {
		return nil, fmt.Errorf("build block: coinbase of %d bytes", len(coinbase))
	}
	size := len(header) + 9 + len(coinbase) + 36 + len(t.Extension)
	for i := range t.Txs {
		size += len(t.Txs[i].Data) / 2
	}
	dst = append(slices.Grow(dst, size), header[:]...)
	dst = appendCompactSize(dst, uint64(len(t.Txs))+1)
	if t.WitnessCommitment == nil {
		dst = append(dst, coinbase...)
	} else {
		lockTime := len(coinbase) - 4
		dst = append(dst, coinbase[:4]...)
		dst = append(dst, 0, 1) // marker, flag
		dst = append(dst, coinbase[4:lockTime]...)
		dst = append(dst, 1, 32)
		dst = append(dst, make([]byte, 32)...)
		dst = append(dst, coinbase[lockTime:]...)
	}
	var err error
	for i := range t.Txs {
		if dst, err = hex.AppendDecode(dst, t.Txs[i].Data); err != nil {
			return nil, fmt.Errorf("build block: transaction %s: %w", t.Txs[i].ID, err)
		}
	}
	return append(dst, t.Extension...), nil
}

// ErrBlockBytes is wrapped when a serialised block cannot be read.
var ErrBlockBytes = errors.New("block cannot be read")

// ParseCoinbase reads the first transaction of a serialised block, which must be a coinbase. What
// follows it is not looked at.
func (c *Coin) ParseCoinbase(block []byte) (pool.CoinbaseTx, error) {
	r := reader{b: block}
	r.take(80)
	if r.compactSize() == 0 {
		r.fail("it has no transaction")
	}
	start := r.at
	r.take(4) // version
	witness := false
	body := r.at
	inputs := r.compactSize()
	if inputs == 0 { // the marker of the witness form
		if witness = true; r.byte() != 1 {
			r.fail("its coinbase has an unknown flag")
		}
		body = r.at
		inputs = r.compactSize()
	}
	if inputs != 1 {
		r.fail("its coinbase has %d inputs", inputs)
	}
	previous := r.take(32)
	for _, b := range previous {
		if b != 0 {
			r.fail("its first transaction spends an output: no coinbase")
			break
		}
	}
	if r.uint32() != math.MaxUint32 {
		r.fail("its first transaction spends an output: no coinbase")
	}
	script := r.bytes()
	if len(script) < minScript || len(script) > maxScript {
		r.fail("its coinbase has a script of %d bytes", len(script))
	}
	r.take(4) // sequence
	count := r.compactSize()
	if count == 0 || count > uint64(len(block)-r.at)/9 { // a value and an empty script
		r.fail("its coinbase has %d outputs", count)
		count = 0
	}
	tx := pool.CoinbaseTx{Script: slices.Clone(script), Outputs: make([]pool.Output, 0, count)}
	var sum pool.Amount
	for range count {
		value := pool.Amount(r.uint64())
		var err error
		if sum, err = sum.Add(value); value < 0 || err != nil {
			r.fail("its coinbase pays more than there can be")
			break
		}
		tx.Outputs = append(tx.Outputs, pool.Output{Value: value, Script: slices.Clone(r.bytes())})
	}
	bodyEnd := r.at
	if witness {
		if items := r.compactSize(); items != 1 {
			r.fail("its coinbase has %d witness items", items)
		}
		if item := r.bytes(); len(item) != 32 {
			r.fail("its coinbase has a witness item of %d bytes", len(item))
		}
	}
	lockTime := r.take(4)
	if r.err != nil {
		return pool.CoinbaseTx{}, r.err
	}
	stripped := make([]byte, 0, bodyEnd-body+8)
	stripped = append(append(append(stripped, block[start:start+4]...), block[body:bodyEnd]...), lockTime...)
	tx.TxID = pool.DoubleSHA256(stripped)
	return tx, nil
}

// reader takes values off b; the first failure stays and makes the rest return zeros.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrBlockBytes}, args...)...)
	}
}

// take returns the next n bytes; n zero-length or failed reads return nil.
func (r *reader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.b)-r.at) {
		r.fail("it is cut short at byte %d", len(r.b))
		return nil
	}
	v := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if v := r.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if v := r.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// bytes reads a byte string with its CompactSize length before it.
func (r *reader) bytes() []byte { return r.take(r.compactSize()) }

// compactSize reads a length in its shortest form.
func (r *reader) compactSize() uint64 {
	first := r.byte()
	var n, least uint64
	switch first {
	default:
		return uint64(first)
	case 0xfd:
		if v := r.take(2); v != nil {
			n = uint64(binary.LittleEndian.Uint16(v))
		}
		least = 0xfd
	case 0xfe:
		n, least = uint64(r.uint32()), 1<<16
	case 0xff:
		n, least = r.uint64(), 1<<32
	}
	if n < least {
		r.fail("a length is not in its shortest form")
		return 0
	}
	return n
}
