package pool

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"

	"github.com/holiman/uint256"
)

// Target is the number that a hash must not exceed.
type Target uint256.Int

// ErrBadBits reports a compact target that is negative, zero or above 2^256.
var ErrBadBits = errors.New("invalid compact target")

// TargetFromBits expands nBits 0xEEMMMMMM to MMMMMM * 256^(EE-3) (Bitcoin's compact form; bit 23 is a
// sign and must be 0).
func TargetFromBits(nbits uint32) (Target, error) {
	exp, mant := uint(nbits>>24), uint64(nbits&0x7fffff)
	if nbits&0x800000 != 0 || mant == 0 {
		return Target{}, fmt.Errorf("%w %08x", ErrBadBits, nbits)
	}
	v := uint256.NewInt(mant)
	if exp <= 3 {
		v.Rsh(v, 8*(3-exp))
	} else {
		if shift := 8 * (exp - 3); shift+uint(v.BitLen()) > 256 {
			return Target{}, fmt.Errorf("%w %08x", ErrBadBits, nbits)
		} else {
			v.Lsh(v, shift)
		}
	}
	if v.IsZero() {
		return Target{}, fmt.Errorf("%w %08x", ErrBadBits, nbits)
	}
	return Target(*v), nil
}

// TargetFromBig returns v as a target; v must be in 0..2^256-1.
func TargetFromBig(v *big.Int) (Target, error) {
	u, over := uint256.FromBig(v)
	if over || v.Sign() < 0 {
		return Target{}, ErrOverflow
	}
	return Target(*u), nil
}

// Meets reports whether h, as a little-endian number, is at most t.
func (t *Target) Meets(h *Hash) bool {
	n := uint256.Int{le64(h[0:]), le64(h[8:]), le64(h[16:]), le64(h[24:])}
	return !n.Gt((*uint256.Int)(t))
}

// Work returns the expected number of hashes to meet t: floor(2^256 / (t + 1)), at most 2^128 - 1.
func (t Target) Work() Work {
	v := new(big.Int).Lsh(big.NewInt(1), 256)
	v.Quo(v, new(big.Int).Add(t.Big(), big.NewInt(1)))
	w, err := WorkFromBig(v)
	if err != nil { // t < 2^128: beyond any network; saturate
		return Work{^uint64(0), ^uint64(0)}
	}
	return w
}

// Big returns t as a new big.Int.
func (t Target) Big() *big.Int { return (*uint256.Int)(&t).ToBig() }

// Cmp returns -1, 0 or +1 as t is below, equal to or above u.
func (t Target) Cmp(u Target) int { return (*uint256.Int)(&t).Cmp((*uint256.Int)(&u)) }

// String writes 64 hex digits, big-endian.
func (t Target) String() string {
	b := (*uint256.Int)(&t).Bytes32()
	return hex.EncodeToString(b[:])
}

// ParseTarget reads 64 hex digits, big-endian.
func ParseTarget(s string) (Target, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		return Target{}, fmt.Errorf("target %q is not 64 hex digits", s)
	}
	return Target(*new(uint256.Int).SetBytes32(b)), nil
}

func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
