package pool

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPrevHashBytes(t *testing.T) {
	for _, v := range loadVectors(t).PrevhashWordSwap {
		if got := hex.EncodeToString(v.Display[:]); got != v.HeaderBytes {
			t.Errorf("%s: %s, want %s", v.Display, got, v.HeaderBytes)
		}
	}
}

func TestHashText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h, again Hash
		copy(h[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		raw, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &again); err != nil || again != h {
			t.Fatalf("%s -> %s, %v", h, again, err)
		}
		if first := h.String()[:2]; first != hex.EncodeToString(h[31:]) {
			t.Fatalf("display of %x begins with %s", h[:], first)
		}
	})
	for _, bad := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("g", 64)} {
		if h, err := ParseHash(bad); err == nil || !h.IsZero() {
			t.Errorf("%q is read as %s, %v", bad, h, err)
		}
	}
}

func TestDoubleSHA256(t *testing.T) {
	// The hash of two zero hashes: the witness commitment of an empty block.
	if got := DoubleSHA256(make([]byte, 64)); hex.EncodeToString(got[:]) != "e2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9" {
		t.Errorf("%x", got)
	}
}
