package pool

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Difficulty is the stratum number diff1/target. It only names a target: what is credited is the
// target's [Work]. A difficulty that is sent has been through [Difficulty.Quantise], so that its text,
// the miner's number and the target are the same everywhere.
type Difficulty float64

// ErrBadDifficulty reports a difficulty that is not a finite number above zero.
var ErrBadDifficulty = errors.New("difficulty is not a finite number above zero")

// difficultyDecimals is how many decimals a difficulty below 1 keeps on the wire.
const difficultyDecimals = 12

// minDifficulty and maxDifficulty bound what may be named at all; listeners narrow it.
const (
	minDifficulty Difficulty = 1e-12
	maxDifficulty Difficulty = 1e15
)

// ParseDifficulty reads a decimal number (with or without exponent) and quantises it.
func ParseDifficulty(s string) (Difficulty, error) {
	if len(s) > 64 || strings.ContainsAny(s, "xXpP_") {
		return 0, ErrBadDifficulty
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(v) || v <= 0 || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%w: %.40q", ErrBadDifficulty, s)
	}
	return Difficulty(v).Quantise(), nil
}

// Quantise cuts d to a whole number from 1 up and to 12 decimals below 1, inside 1e-12..1e15.
// Integers from 1 up, because some firmware reads nothing else.
func (d Difficulty) Quantise() Difficulty {
	switch {
	case !(d > minDifficulty): // also NaN
		return minDifficulty
	case d >= maxDifficulty:
		return maxDifficulty
	case d >= 1:
		return Difficulty(math.Floor(float64(d)))
	}
	v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(d), 'f', difficultyDecimals, 64), 64)
	return Difficulty(v)
}

// String writes d as sent: decimal, no exponent, no trailing zeros.
func (d Difficulty) String() string {
	if d >= 1 {
		return strconv.FormatFloat(float64(d), 'f', -1, 64)
	}
	s := strings.TrimRight(strconv.FormatFloat(float64(d), 'f', difficultyDecimals, 64), "0")
	return strings.TrimSuffix(s, ".")
}

// Target returns floor(diff1 / d), computed exactly from d's decimal text, at most 2^256 - 1.
func (d Difficulty) Target(diff1 Target) Target {
	t, err := TargetForDifficulty(diff1, d.String())
	if err != nil {
		panic("pool: difficulty text does not parse: " + err.Error()) // String writes only decimals
	}
	return t
}

// TargetForDifficulty returns floor(diff1 / d) for a decimal text d > 0, at most 2^256 - 1.
func TargetForDifficulty(diff1 Target, d string) (Target, error) {
	r, ok := new(big.Rat).SetString(d)
	if !ok || r.Sign() <= 0 {
		return Target{}, fmt.Errorf("%w: %.40q", ErrBadDifficulty, d)
	}
	q := new(big.Int).Mul(diff1.Big(), r.Denom())
	q.Quo(q, r.Num())
	if q.BitLen() > 256 {
		q.Sub(q.Lsh(big.NewInt(1), 256), big.NewInt(1))
	}
	return TargetFromBig(q)
}

// DifficultyOf returns diff1 / t for display and vardiff.
func DifficultyOf(diff1, t Target) Difficulty {
	if t.Big().Sign() == 0 {
		return maxDifficulty
	}
	f, _ := new(big.Rat).SetFrac(diff1.Big(), t.Big()).Float64()
	return Difficulty(f)
}
