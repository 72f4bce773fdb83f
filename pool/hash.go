package pool

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Hash is a 32-byte hash in internal byte order: as it stands in headers and on the merkle path.
// Read as a number it is little-endian.
type Hash [32]byte

// DoubleSHA256 returns SHA-256(SHA-256(b)): block ids, txids and merkle nodes of Bitcoin-type coins.
func DoubleSHA256(b []byte) Hash {
	first := sha256.Sum256(b)
	return sha256.Sum256(first[:])
}

// ParseHash reads 64 hex digits in display (reversed) order, as RPC gives block ids and txids.
func ParseHash(display string) (Hash, error) {
	var h Hash
	if len(display) != 64 {
		return h, fmt.Errorf("hash has %d hex digits, want 64", len(display))
	}
	if _, err := hex.Decode(h[:], []byte(display)); err != nil {
		return Hash{}, fmt.Errorf("hash: %w", err)
	}
	return h.reversed(), nil
}

// String returns the 64 hex digits in display order.
func (h Hash) String() string {
	r := h.reversed()
	return hex.EncodeToString(r[:])
}

// MarshalText writes the display form.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the display form.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	if err == nil {
		*h = v
	}
	return err
}

// IsZero reports whether all bytes are zero.
func (h Hash) IsZero() bool { return h == Hash{} }

func (h Hash) reversed() Hash {
	for i := 0; i < 16; i++ {
		h[i], h[31-i] = h[31-i], h[i]
	}
	return h
}
