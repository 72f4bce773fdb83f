package worker

import (
	"encoding/json"
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
