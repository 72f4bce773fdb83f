package worker

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// parseTarget turns the text of a Stratum difficulty into floor(diff1/d) as a
// big-endian number, exactly; a d below diff1/2^256 gives the largest target.
func parseTarget(raw json.RawMessage, diff1 [32]byte) ([32]byte, error) {
	var target [32]byte
	if !isNumber(raw) || len(raw) > 60 {
		return target, fmt.Errorf("difficulty %.80q is not a number", raw)
	}
	// An exponent is bounded before big.Rat writes it out.
	if _, exponent, found := strings.Cut(strings.ToLower(string(raw)), "e"); found {
		if e, err := strconv.Atoi(exponent); err != nil || e < -100 || e > 100 {
			return target, fmt.Errorf("difficulty %.80q is out of range", raw)
		}
	}
	d, ok := new(big.Rat).SetString(string(raw))
	if !ok || d.Sign() <= 0 {
		return target, fmt.Errorf("difficulty %.80q is not above zero", raw)
	}
	// diff1 / (num/den), floored.
	n := new(big.Int).SetBytes(diff1[:])
	n.Mul(n, d.Denom()).Quo(n, d.Num())
	if n.BitLen() > 256 {
		for i := range target {
			target[i] = 0xff
		}
		return target, nil
	}
	n.FillBytes(target[:])
	return target, nil
}

// parseHexTarget reads a target as 64 hex digits, big-endian.
func parseHexTarget(raw json.RawMessage) (target [32]byte, err error) {
	s, err := text(raw)
	if err != nil {
		return target, fmt.Errorf("target: %w", err)
	}
	if len(s) != 2*len(target) {
		return target, fmt.Errorf("target %.80q is not %d hex digits", s, 2*len(target))
	}
	if _, err := hex.Decode(target[:], []byte(s)); err != nil {
		return target, fmt.Errorf("target %q: %w", s, err)
	}
	if target == ([32]byte{}) {
		return target, errors.New("target zero, which no hash meets")
	}
	return target, nil
}

// difficultyOf is diff1 divided by a target above zero, for people.
func difficultyOf(target, diff1 [32]byte) string {
	d := new(big.Rat).SetFrac(new(big.Int).SetBytes(diff1[:]), new(big.Int).SetBytes(target[:]))
	f, _ := d.Float64()
	return strconv.FormatFloat(f, 'g', 6, 64)
}
