package payout

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
)

const headerSize = 80

// blockTx is a transaction of a block, as far as a comparison needs it. Scripts and raw are parts of the block.
type blockTx struct {
	inputs  []build.Outpoint
	outputs []blockOut
	parts   [3][]byte // version, inputs with outputs, locktime: what the id is the hash of
	id      *pool.Hash
}

type blockOut struct {
	value  pool.Amount
	script []byte
}

// txid is SHA-256d over the transaction without marker and witness (BIP 144).
func (t *blockTx) txid() pool.Hash {
	if t.id == nil {
		h := sha256.New()
		for _, part := range t.parts {
			h.Write(part)
		}
		id := pool.Hash(sha256.Sum256(h.Sum(nil)))
		t.id = &id
	}
	return *t.id
}

var errBlock = errors.New("malformed block")

// reader walks through a block and remembers that it was too short.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)-r.at) {
		r.bad = true
		return nil
	}
	part := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return part
}

func (r *reader) uint(n uint64) uint64 {
	var full [8]byte
	copy(full[:], r.take(n))
	return binary.LittleEndian.Uint64(full[:])
}

// count reads a number of things of at least size bytes each, so that a lie cannot make much room be taken.
func (r *reader) count(size int) uint64 {
	n := r.uint(1)
	switch n {
	case 0xfd:
		n = r.uint(2)
	case 0xfe:
		n = r.uint(4)
	case 0xff:
		n = r.uint(8)
	}
	if n > uint64((len(r.b)-r.at)/size) {
		r.bad = true
		return 0
	}
	return n
}

// Flags behind the marker of an extended transaction.
const (
	flagWitness = 1
	flagMWEB    = 8 // Litecoin: its integration transaction, with one byte 0 behind the witness
)

// readBlock reads the transactions of a serialised block. What stands behind them, such as Litecoin's extension
// block, is left out.
func readBlock(raw []byte) ([]blockTx, error) {
	r := &reader{b: raw}
	r.take(headerSize)
	const leastTx = 10
	txs := make([]blockTx, 0, r.count(leastTx))
	for range cap(txs) {
		var t blockTx
		t.parts[0] = r.take(4)
		flags := byte(0)
		if r.at+1 < len(raw) && raw[r.at] == 0 {
			flags = raw[r.at+1]
			r.take(2)
			if flags == 0 || flags&^(flagWitness|flagMWEB) != 0 {
				return nil, fmt.Errorf("%w: transaction with flags %#x", errBlock, flags)
			}
		}
		begin := r.at
		t.inputs = make([]build.Outpoint, r.count(41))
		for i := range t.inputs {
			copy(t.inputs[i].TxID[:], r.take(32))
			t.inputs[i].Vout = uint32(r.uint(4))
			r.take(r.count(1))
			r.take(4)
		}
		t.outputs = make([]blockOut, r.count(9))
		for i := range t.outputs {
			t.outputs[i].value = pool.Amount(r.uint(8))
			t.outputs[i].script = r.take(r.count(1))
		}
		if !r.bad {
			t.parts[1] = raw[begin:r.at]
		}
		if flags&flagWitness != 0 {
			for range t.inputs {
				for range r.count(1) {
					r.take(r.count(1))
				}
			}
		}
		if flags&flagMWEB != 0 && r.uint(1) != 0 {
			return nil, fmt.Errorf("%w: an extension transaction inside the block", errBlock)
		}
		t.parts[2] = r.take(4)
		if r.bad {
			return nil, fmt.Errorf("%w: it ends in transaction %d", errBlock, len(txs))
		}
		txs = append(txs, t)
	}
	if r.bad || len(txs) == 0 {
		return nil, fmt.Errorf("%w: no transactions", errBlock)
	}
	return txs, nil
}
