package pool

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is money in base units of its coin (satoshi, litoshi). It is never a float and never rounded
// outside [Allocate].
type Amount int64

// ErrOverflow reports that a sum or product of money or work left its range.
var ErrOverflow = errors.New("amount overflows")

// Add returns a + b, or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	s := a + b
	if (s > a) != (b > 0) && b != 0 {
		return 0, ErrOverflow
	}
	return s, nil
}

// Sub returns a - b, or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	s := a - b
	if (s < a) != (b > 0) && b != 0 {
		return 0, ErrOverflow
	}
	return s, nil
}

// MulPPM returns floor(a * ppm / 10^6) for a >= 0 and ppm <= 10^6: a fee in parts per million.
func (a Amount) MulPPM(ppm uint32) (Amount, error) {
	if a < 0 || ppm > 1_000_000 {
		return 0, fmt.Errorf("fee of %d ppm on %d: %w", ppm, int64(a), ErrOverflow)
	}
	hi, lo := bits.Mul64(uint64(a), uint64(ppm))
	q, _ := bits.Div64(hi, lo, 1_000_000)
	return Amount(q), nil
}

// ParseAmount reads a decimal number of coins, such as "0.25", as base units. It takes digits with at most one
// point, and no more decimals than the coin has.
func ParseAmount(text string, decimals int) (Amount, error) {
	whole, part, _ := strings.Cut(text, ".")
	digits := whole + part
	if digits == "" || strings.Trim(digits, "0123456789") != "" || len(part) > decimals {
		return 0, fmt.Errorf("%.40q is no number of coins with up to %d decimals", text, decimals)
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", decimals-len(part)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q coins: %w", text, ErrOverflow)
	}
	return Amount(n), nil
}

// Format writes the amount as a decimal number of coins with all decimals, such as "-0.00012000".
func (a Amount) Format(decimals int) string {
	u, sign := uint64(a), ""
	if a < 0 {
		u, sign = -u, "-"
	}
	s := strconv.FormatUint(u, 10)
	if decimals == 0 {
		return sign + s
	}
	for len(s) <= decimals {
		s = "0" + s
	}
	return sign + s[:len(s)-decimals] + "." + s[len(s)-decimals:]
}
