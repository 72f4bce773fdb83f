package pool

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// Work is a number of expected hashes, or a score derived from it: an unsigned 128-bit integer.
// Sums saturate nowhere: the checked forms return ErrOverflow.
type Work struct {
	Hi, Lo uint64
}

// WorkOf returns n as work.
func WorkOf(n uint64) Work { return Work{Lo: n} }

// Add returns a + b, or ErrOverflow.
func (a Work) Add(b Work) (Work, error) {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi, carry := bits.Add64(a.Hi, b.Hi, carry)
	if carry != 0 {
		return Work{}, ErrOverflow
	}
	return Work{hi, lo}, nil
}

// Sub returns a - b, or ErrOverflow when b > a.
func (a Work) Sub(b Work) (Work, error) {
	lo, borrow := bits.Sub64(a.Lo, b.Lo, 0)
	hi, borrow := bits.Sub64(a.Hi, b.Hi, borrow)
	if borrow != 0 {
		return Work{}, ErrOverflow
	}
	return Work{hi, lo}, nil
}

// Cmp returns -1, 0 or +1 as a is below, equal to or above b.
func (a Work) Cmp(b Work) int {
	switch {
	case a.Hi != b.Hi && a.Hi < b.Hi, a.Hi == b.Hi && a.Lo < b.Lo:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// IsZero reports whether a is 0.
func (a Work) IsZero() bool { return a.Hi == 0 && a.Lo == 0 }

// Min returns the lesser of a and b.
func (a Work) Min(b Work) Work {
	if b.Cmp(a) < 0 {
		return b
	}
	return a
}

// Big returns a as a new big.Int.
func (a Work) Big() *big.Int {
	v := new(big.Int).SetUint64(a.Hi)
	return v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(a.Lo))
}

// WorkFromBig returns v as work, or ErrOverflow when v is negative or has more than 128 bits.
func WorkFromBig(v *big.Int) (Work, error) {
	if v.Sign() < 0 || v.BitLen() > 128 {
		return Work{}, ErrOverflow
	}
	lo := new(big.Int).And(v, new(big.Int).SetUint64(math.MaxUint64))
	return Work{new(big.Int).Rsh(v, 64).Uint64(), lo.Uint64()}, nil
}

// MulDiv returns floor(a * b / c), or ErrOverflow when c is 0 or the result has more than 128 bits.
func (a Work) MulDiv(b, c Work) (Work, error) {
	if c.IsZero() {
		return Work{}, ErrOverflow
	}
	p := a.Big()
	return WorkFromBig(p.Mul(p, b.Big()).Quo(p, c.Big()))
}

// Float64 is for display and statistics only; it never reaches a balance.
func (a Work) Float64() float64 { return math.Ldexp(float64(a.Hi), 64) + float64(a.Lo) }

// String writes a in decimal.
func (a Work) String() string {
	if a.Hi == 0 {
		return strconv.FormatUint(a.Lo, 10)
	}
	return a.Big().String()
}

// MarshalText writes a in decimal.
func (a Work) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads a decimal number of at most 39 digits.
func (a *Work) UnmarshalText(b []byte) error {
	if len(b) == 0 || len(b) > 39 {
		return fmt.Errorf("work of %d digits", len(b))
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return fmt.Errorf("work %q is not a decimal number", b)
		}
	}
	v, _ := new(big.Int).SetString(string(b), 10)
	w, err := WorkFromBig(v)
	if err != nil {
		return fmt.Errorf("work %q: %w", b, err)
	}
	*a = w
	return nil
}

// AppendBinary appends 16 bytes, little-endian.
func (a Work) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint64(dst, a.Lo)
	return binary.LittleEndian.AppendUint64(dst, a.Hi), nil
}

// WorkFromBytes reads the 16 bytes of [Work.AppendBinary].
func WorkFromBytes(b []byte) Work {
	return Work{Lo: binary.LittleEndian.Uint64(b), Hi: binary.LittleEndian.Uint64(b[8:16])}
}
