package build

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// Limits of what nodes relay (Bitcoin Core policy.h) and how a run keeps within them.
const (
	MaxWeight      = 400_000 // MAX_STANDARD_TX_WEIGHT, 100 kvB
	MaxPayeeWeight = 320_000 // of that for payees' outputs; the rest is for inputs, baton and change
	MinFeeRate     = 1000    // per kvB: the usual minimum relay fee, and what a replacement pays more by
	maxParts       = 1_000   // outputs of a fan to transactions of its run
	witnessScale   = 4
)

// Kinds of refusal.
var (
	ErrShort    = errors.New("the pool's coins are not enough for this payout")
	ErrTooLarge = errors.New("the transaction would be larger than nodes relay")
)

// OutputSize is an output's serialised size.
func OutputSize(script []byte) int64 {
	return 8 + int64(wire.VarIntSerializeSize(uint64(len(script)))) + int64(len(script))
}

// Dust is the least value that nodes relay for an output: the cost of the output and of spending it at
// rate (base units per 1000 bytes), as Bitcoin Core's GetDustThreshold has it.
func Dust(script []byte, rate pool.Amount) pool.Amount {
	spend := int64(148) // outpoint, script with signature and key, sequence
	if txscript.IsWitnessProgram(script) {
		spend = 32 + 4 + 1 + 107/witnessScale + 4
	}
	return pool.Amount(OutputSize(script)+spend) * rate / 1000
}

// Fee is the fee of a transaction of some weight at a rate, rounded up, and its virtual size.
func Fee(weight int64, rate pool.Amount) (pool.Amount, int64, error) {
	vsize := (weight + witnessScale - 1) / witnessScale
	if vsize <= 0 || rate < 0 || rate > (1<<62)/pool.Amount(vsize) {
		return 0, 0, fmt.Errorf("fee of %d vB at %d per kvB: %w", vsize, rate, pool.ErrOverflow)
	}
	return (pool.Amount(vsize)*rate + 999) / 1000, vsize, nil
}

// Split divides payees, in their order, over transactions whose payees weigh limit at most: it returns where each
// ends.
func Split(scripts [][]byte, limit int64) []int {
	var ends []int
	var weight int64
	for i, s := range scripts {
		w := OutputSize(s) * witnessScale
		if weight+w > limit && weight > 0 {
			ends = append(ends, i)
			weight = 0
		}
		weight += w
	}
	if len(scripts) > 0 {
		ends = append(ends, len(scripts))
	}
	return ends
}
