package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/adit-pool/adit/pool/merkle"
)

func testHead(t testing.TB) (*SignedHead, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	key, text := NewHeadKey()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := ReadHeadKey(path)
	if err != nil || !bytes.Equal(again.Public(), key.Public()) {
		t.Fatalf("the key read back: %v", err)
	}
	h := &SignedHead{
		Pool: "main", ID: "20261122T000000Z", Time: 1, Seq: 2, Term: 1, Hash: bytes.Repeat([]byte{3}, 32),
		Blocks: 4, BlocksRoot: merkle.Hash{5}, Slices: 6, SlicesRoot: merkle.Hash{7},
	}
	signed, err := again.Sign(h)
	if err != nil {
		t.Fatal(err)
	}
	return h, signed
}

func TestSignedHead(t *testing.T) {
	want, text := testHead(t)
	got, err := ParseSignedHead(text)
	if err != nil || got.ID != want.ID || got.SlicesRoot != want.SlicesRoot {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := ParseSignedHead(text[:len(text)-1]); err != nil {
		t.Errorf("without its newline: %v", err)
	}
	for i := range text {
		for _, bits := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(text)
			bad[i] ^= bits
			if _, err := ParseSignedHead(bad); !errors.Is(err, ErrSignedHead) {
				t.Errorf("byte %d changed to %q: %v", i, bad[i], err)
			}
		}
	}
}

func FuzzParseSignedHead(f *testing.F) {
	_, text := testHead(f)
	f.Add(text)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseSignedHead(b)
		if err != nil {
			return
		}
		again, err := h.Bytes()
		if err != nil || !bytes.Equal(bytes.TrimSuffix(b, []byte("\n")), again[:len(again)-1]) {
			t.Errorf("%s became %s, %v", b, again, err)
		}
	})
}
