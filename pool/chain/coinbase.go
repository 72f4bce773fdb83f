package chain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/adit-pool/adit/pool"
)

const (
	minScript = 2   // bytes of a coinbase input script, by consensus
	maxScript = 100 // likewise
	epochSize = 8
	maxHeight = math.MaxInt32
	// maxHeightPush is the longest height push.
	maxHeightPush = 5
	// maxDirectPush is the longest push whose opcode is its length.
	maxDirectPush = 75

	coinbaseVersion  = 2
	coinbaseSequence = 0xfffffffe // BIP54
)

// ErrCoinbase is wrapped when a coinbase cannot be made as asked.
var ErrCoinbase = errors.New("coinbase cannot be built")

// MaxTag is the longest tag in bytes that fits beside an extranonce of the given size, an auxiliary
// commitment and any height; negative when the extranonce itself is too long.
func MaxTag(extranonceSize int) int {
	push := 1 + epochSize + extranonceSize
	if extranonceSize < 0 || push > maxDirectPush+1 {
		return -1
	}
	return maxScript - maxHeightPush - push - pool.MaxAuxSize - 1
}

// CheckScript says at start-up whether every coinbase script with this tag will have at most 100 bytes,
// at any height and with an auxiliary commitment.
func CheckScript(tag string, extranonceSize int) error {
	limit := MaxTag(extranonceSize)
	if limit < 0 {
		return fmt.Errorf("%w: an extranonce of %d bytes does not fit", ErrCoinbase, extranonceSize)
	}
	if len(tag) > limit {
		return fmt.Errorf("%w: the tag has %d bytes, and the coinbase script has room for %d", ErrCoinbase, len(tag), limit)
	}
	for i := 0; i < len(tag); i++ {
		if tag[i] < ' ' || tag[i] > '~' {
			return fmt.Errorf("%w: byte %d of the tag is not printable ASCII", ErrCoinbase, i+1)
		}
	}
	return nil
}

// Coinbase builds the coinbase around spec.ExtranonceSize free bytes; see the package comment for the
// script. The template's coinbaseaux is optional by BIP22 and left out when the script, with room for
// an auxiliary commitment, would grow past 100 bytes: a node cannot make the coinbase fail by it.
func (c *Coin) Coinbase(t *pool.Template, spec *pool.CoinbaseSpec) (prefix, suffix []byte, err error) {
	if t.Height < 1 || t.Height > maxHeight {
		return nil, nil, fmt.Errorf("%w: height %d", ErrCoinbase, t.Height)
	}
	if err := CheckScript(spec.Tag, spec.ExtranonceSize); err != nil {
		return nil, nil, err
	}
	if len(spec.Aux) > pool.MaxAuxSize {
		return nil, nil, fmt.Errorf("%w: auxiliary commitment of %d bytes, at most %d", ErrCoinbase, len(spec.Aux), pool.MaxAuxSize)
	}
	if err := checkOutputs(spec.Outputs, t.CoinbaseValue); err != nil {
		return nil, nil, err
	}

	head := appendHeight(make([]byte, 0, maxScript), t.Height)
	tail := make([]byte, 0, maxScript)
	if spec.Tag != "" {
		tail = append(append(tail, byte(len(spec.Tag))), spec.Tag...)
	}
	tail = append(tail, byte(epochSize+spec.ExtranonceSize))
	tail = binary.BigEndian.AppendUint64(tail, spec.Epoch)
	if len(head)+len(t.CoinbaseAux)+len(tail)+spec.ExtranonceSize+pool.MaxAuxSize <= maxScript {
		head = append(head, t.CoinbaseAux...)
	}
	length := len(head) + len(tail) + spec.ExtranonceSize + len(spec.Aux)
	if length < minScript || length > maxScript {
		return nil, nil, fmt.Errorf("%w: input script of %d bytes, want %d..%d", ErrCoinbase, length, minScript, maxScript)
	}

	prefix = binary.LittleEndian.AppendUint32(make([]byte, 0, 4+1+36+1+maxScript), coinbaseVersion)
	prefix = append(prefix, 1)
	prefix = append(prefix, make([]byte, 32)...)
	prefix = binary.LittleEndian.AppendUint32(prefix, math.MaxUint32)
	prefix = append(append(append(prefix, byte(length)), head...), tail...)

	suffix = append(make([]byte, 0, 256), spec.Aux...)
	suffix = binary.LittleEndian.AppendUint32(suffix, coinbaseSequence)
	outputs := spec.Outputs
	if t.WitnessCommitment != nil {
		suffix = appendCompactSize(suffix, uint64(len(outputs))+1)
	} else {
		suffix = appendCompactSize(suffix, uint64(len(outputs)))
	}
	for i := range outputs {
		suffix = appendOutput(suffix, outputs[i].Value, outputs[i].Script)
	}
	if t.WitnessCommitment != nil {
		suffix = appendOutput(suffix, 0, t.WitnessCommitment) // of several matching outputs the last counts
	}
	return prefix, binary.LittleEndian.AppendUint32(suffix, uint32(t.Height-1)), nil
}

func checkOutputs(outputs []pool.Output, want pool.Amount) error {
	if len(outputs) == 0 {
		return fmt.Errorf("%w: it pays nobody", ErrCoinbase)
	}
	var sum pool.Amount
	var err error
	for i := range outputs {
		if outputs[i].Value < 0 || len(outputs[i].Script) == 0 {
			return fmt.Errorf("%w: output %d has value %d and a script of %d bytes", ErrCoinbase, i, outputs[i].Value, len(outputs[i].Script))
		}
		if sum, err = sum.Add(outputs[i].Value); err != nil {
			return fmt.Errorf("%w: sum of outputs: %w", ErrCoinbase, err)
		}
	}
	if sum != want {
		return fmt.Errorf("%w: outputs add up to %d, the template allows exactly %d", ErrCoinbase, sum, want)
	}
	return nil
}

// appendHeight pushes a height as BIP34 wants it: OP_1..OP_16, then minimal little-endian numbers.
func appendHeight(dst []byte, height int64) []byte {
	if height >= 1 && height <= 16 {
		return append(dst, op1-1+byte(height))
	}
	at := len(dst)
	dst = append(dst, 0)
	for v := height; v > 0; v >>= 8 {
		dst = append(dst, byte(v))
	}
	if dst[len(dst)-1]&0x80 != 0 { // the top bit is the sign
		dst = append(dst, 0)
	}
	dst[at] = byte(len(dst) - at - 1)
	return dst
}

func appendOutput(dst []byte, value pool.Amount, script []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(value))
	return append(appendCompactSize(dst, uint64(len(script))), script...)
}

func appendCompactSize(dst []byte, n uint64) []byte {
	switch {
	case n < 0xfd:
		return append(dst, byte(n))
	case n <= math.MaxUint16:
		return binary.LittleEndian.AppendUint16(append(dst, 0xfd), uint16(n))
	case n <= math.MaxUint32:
		return binary.LittleEndian.AppendUint32(append(dst, 0xfe), uint32(n))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xff), n)
}
