package build

import (
	"bytes"
	"errors"
	"testing"

	"github.com/adit-pool/adit/pool"
)

// TestDust holds the rule against the values that Bitcoin Core documents for its default relay rate.
func TestDust(t *testing.T) {
	for _, c := range []struct {
		name string
		head []byte
		size int
		want pool.Amount
	}{
		{"p2pkh", []byte{0x76, 0xa9, 20}, 25, 546},
		{"p2sh", []byte{0xa9, 20}, 23, 540},
		{"p2wpkh", []byte{0, 20}, 22, 294},
		{"p2wsh", []byte{0, 32}, 34, 330},
		{"p2tr", []byte{0x51, 32}, 34, 330},
	} {
		script := append(bytes.Clone(c.head), make([]byte, c.size-len(c.head))...)
		if got := Dust(script, 3000); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestFeeOverflow(t *testing.T) {
	if _, _, err := Fee(MaxWeight, 1<<62); !errors.Is(err, pool.ErrOverflow) {
		t.Errorf("fee: %v", err)
	}
}
