package claim

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

const magic = "Bitcoin Signed Message:\n"

// TestBIP322 has the vectors of BIP 322 for bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l.
func TestBIP322(t *testing.T) {
	script, err := hex.DecodeString("00142b05d564e6a7a33c087f16e0f730d1440123799d")
	if err != nil {
		t.Fatal(err)
	}
	empty := "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI="
	hello := "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI="
	for text, signature := range map[string]string{"": empty, "Hello World": hello} {
		if err := Verify(script, magic, text, signature); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	other := append([]byte{}, script...)
	other[5] ^= 1
	for _, c := range []struct {
		script          []byte
		text, signature string
	}{{script, "Hello World", empty}, {script, "hello world", hello}, {other, "Hello World", hello}, {script, "", "!"}, {script, "", "AA=="}, {script, "", ""}} {
		if err := Verify(c.script, magic, c.text, c.signature); !errors.Is(err, ErrSignature) {
			t.Errorf("%q by %.8s: %v", c.text, c.signature, err)
		}
	}
	if err := Verify([]byte{0x6a}, magic, "", empty); !errors.Is(err, ErrKind) {
		t.Errorf("an unspendable script: %v", err)
	}
}

func TestSignMessage(t *testing.T) {
	private, public := btcec.PrivKeyFromBytes([]byte{31: 7})
	hash := chainhash.DoubleHashB([]byte("\x18" + magic + "\x05hello"))
	for _, compressed := range []bool{true, false} {
		b := public.SerializeUncompressed()
		if compressed {
			b = public.SerializeCompressed()
		}
		script := append(append([]byte{0x76, 0xa9, 20}, btcutil.Hash160(b)...), 0x88, 0xac)
		signature := base64.StdEncoding.EncodeToString(ecdsa.SignCompact(private, hash, compressed))
		if err := Verify(script, magic, "hello", signature); err != nil {
			t.Error(err)
		}
		if err := Verify(script, magic, "hallo", signature); !errors.Is(err, ErrSignature) {
			t.Errorf("another text: %v", err)
		}
		if err := Verify(script, "Litecoin Signed Message:\n", "hello", signature); !errors.Is(err, ErrSignature) {
			t.Errorf("another coin: %v", err)
		}
	}
}

// FuzzVerify: no signature from outside makes it fall over, and none is taken for a script that nobody signed for.
func FuzzVerify(f *testing.F) {
	f.Add("x", "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=")
	script := append([]byte{0, 20}, make([]byte, 20)...)
	f.Fuzz(func(t *testing.T, text, signature string) {
		if Verify(script, magic, text, signature) == nil {
			t.Fatalf("%q by %q", text, signature)
		}
	})
}
