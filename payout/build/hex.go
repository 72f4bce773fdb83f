package build

import "encoding/hex"

// Hex is bytes that are written to JSON as hex digits.
type Hex []byte

// MarshalText writes hex digits.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText reads hex digits.
func (h *Hex) UnmarshalText(b []byte) error {
	v, err := hex.DecodeString(string(b))
	if err == nil {
		*h = v
	}
	return err
}
