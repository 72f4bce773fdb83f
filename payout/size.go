package payout

import (
	"fmt"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// Limits of what nodes relay (Bitcoin Core policy.h) and how a run keeps within them.
const (
	maxTxWeight    = 400_000 // MAX_STANDARD_TX_WEIGHT, 100 kvB
	maxPayeeWeight = 320_000 // of that for payees' outputs; the rest is for inputs, baton and change
	witnessScale   = 4
	minFeeRate     = 1000 // per kvB: the usual minimum relay fee
)

// scriptKind is the type of a reward script that a payout can spend.
type scriptKind int

const (
	p2wpkh scriptKind = iota + 1
	p2tr
)

// spendable returns the kind of the pool's own script, or why it cannot be spent from.
func spendable(script []byte) (scriptKind, error) {
	switch {
	case txscript.IsPayToWitnessPubKeyHash(script):
		return p2wpkh, nil
	case txscript.IsPayToTaproot(script):
		return p2tr, nil
	case txscript.IsPayToWitnessScriptHash(script):
		return 0, fmt.Errorf("%w: it is a script address (P2WSH), which a key file cannot sign for", ErrRewardScript)
	case txscript.IsPayToScriptHash(script), txscript.IsPayToPubKeyHash(script):
		return 0, fmt.Errorf("%w: it is not a segwit address, so the id of a payout would not be known before it is signed", ErrRewardScript)
	}
	return 0, fmt.Errorf("%w: its type is not known", ErrRewardScript)
}

// witnessSize is the serialised witness of an input at its largest: a 72-byte ECDSA signature with its
// sighash byte and a public key, or a 64-byte Schnorr signature with SIGHASH_DEFAULT.
func (k scriptKind) witnessSize() int64 {
	if k == p2tr {
		return 1 + 1 + 64
	}
	return 1 + 1 + 72 + 1 + 33
}

// outputSize is an output's serialised size.
func outputSize(script []byte) int64 {
	return 8 + int64(wire.VarIntSerializeSize(uint64(len(script)))) + int64(len(script))
}

// dust is the least value that nodes relay for an output: the cost of the output and of spending it at
// rate (base units per 1000 bytes), as Bitcoin Core's GetDustThreshold has it.
func dust(script []byte, rate pool.Amount) pool.Amount {
	spend := int64(148) // outpoint, script with signature and key, sequence
	if txscript.IsWitnessProgram(script) {
		spend = 32 + 4 + 1 + 107/witnessScale + 4
	}
	return pool.Amount(outputSize(script)+spend) * rate / 1000
}

// weightOf is the weight of tx once each input has its largest witness.
func weightOf(tx *wire.MsgTx, kind scriptKind) int64 {
	const marker = 2
	return int64(tx.SerializeSizeStripped())*witnessScale + marker + int64(len(tx.TxIn))*kind.witnessSize()
}

// feeFor is the fee of a transaction of some weight, rounded up, and its virtual size.
func feeFor(weight int64, rate pool.Amount) (pool.Amount, int64, error) {
	vsize := (weight + witnessScale - 1) / witnessScale
	if vsize <= 0 || rate < 0 || rate > (1<<62)/pool.Amount(vsize) {
		return 0, 0, fmt.Errorf("fee of %d vB at %d per kvB: %w", vsize, rate, pool.ErrOverflow)
	}
	return (pool.Amount(vsize)*rate + 999) / 1000, vsize, nil
}
