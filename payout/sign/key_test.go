package sign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
)

func newChain(t testing.TB) pool.Chain {
	t.Helper()
	chain, err := bitcoin.New("simnet")
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// testKey is a key of a fixed secret.
func testKey(chain pool.Chain, typ KeyType, secret byte) *Key {
	var b [32]byte
	b[0], b[31] = secret, 1
	private, _ := btcec.PrivKeyFromBytes(b[:])
	return KeyOf(chain.Params(), typ, private)
}

func TestKeyFile(t *testing.T) {
	chain := newChain(t)
	dir := t.TempDir()
	identity := filepath.Join(dir, "key.identity")
	for _, lock := range []Lock{{Passphrase: "correct horse", work: 8}, {IdentityFile: identity}} {
		for _, typ := range []KeyType{WPKH, TR} {
			path := filepath.Join(dir, fmt.Sprintf("%s-%d", typ, lock.work))
			made, err := CreateKey(path, chain.Params(), typ, lock)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := OpenKey(path, chain.Params(), lock)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(opened.Script(), made.Script()) || opened.Descriptor() != made.Descriptor() || opened.Type() != typ {
				t.Errorf("%s came back as %s", made, opened)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode of the key file: %v, %v", info.Mode(), err)
			}
			sealed, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(sealed, []byte("private")) || bytes.Contains(sealed, made.private.Serialize()) {
				t.Error("the key file is not encrypted")
			}
			if _, err := CreateKey(path, chain.Params(), typ, lock); !errors.Is(err, os.ErrExist) {
				t.Errorf("overwritten: %v", err)
			}
			for _, wrong := range []Lock{{Passphrase: "wrong horse"}, {IdentityFile: otherIdentity(t)}} {
				if _, err := OpenKey(path, chain.Params(), wrong); !errors.Is(err, ErrLocked) {
					t.Errorf("wrong lock: %v", err)
				}
			}
			other := *chain.Params()
			other.Network = "mainnet"
			if _, err := OpenKey(path, &other, lock); !errors.Is(err, ErrKeyFile) {
				t.Errorf("wrong network: %v", err)
			}
			if _, err := decrypt(sealed[:len(sealed)-60], nil); err == nil {
				t.Error("a cut file was opened")
			}
		}
	}
	if info, err := os.Stat(identity); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the identity file: %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, lock := range []Lock{{}, {Passphrase: "a", IdentityFile: "b"}} {
		if _, err := CreateKey(filepath.Join(dir, "none"), chain.Params(), WPKH, lock); err == nil {
			t.Error("made without one lock")
		}
	}
	if _, err := CreateKey(filepath.Join(dir, "none"), chain.Params(), "pkh", Lock{Passphrase: "x", work: 8}); err == nil {
		t.Error("made a key of unknown type")
	}
}

func otherIdentity(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other")
	if _, err := (Lock{IdentityFile: path}).recipient(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestErrorsHideSecrets(t *testing.T) {
	chain := newChain(t)
	k := testKey(chain, WPKH, 5)
	plain, err := k.marshal()
	if err != nil {
		t.Fatal(err)
	}
	secret := fmt.Sprintf("%x", k.private.Serialize())
	for _, bad := range []string{
		strings.Replace(string(plain), secret, secret+"zz", 1),
		strings.Replace(string(plain), `"wpkh"`, `"tr"`, 1),
		strings.Replace(string(plain), `"v": 1`, `"v": 2`, 1),
		string(plain) + string(plain),
		string(plain[:len(plain)/2]),
	} {
		_, err := parseKey([]byte(bad), chain.Params())
		if !errors.Is(err, ErrKeyFile) {
			t.Errorf("accepted: %v", err)
		} else if strings.Contains(err.Error(), secret[:16]) {
			t.Error("an error repeats the private key")
		}
	}
	if text := fmt.Sprintf("%v %s", k, k); strings.Contains(text, secret[:16]) {
		t.Error("a key prints its secret")
	}
}

// TestDescriptorChecksum has the vectors of BIP 380 and BIP 382 addresses of Bitcoin Core's documents.
func TestDescriptorChecksum(t *testing.T) {
	for _, d := range []string{
		"raw(deadbeef)#89f8spxm",                            // BIP 380
		"addr(mkmZxiEcEd8ZqjQWVZuC6so5dFMKEFpN2j)#02wpgw69", // Bitcoin Core, doc/descriptors and RPC examples
	} {
		body, want, _ := strings.Cut(d, "#")
		if got := descriptorChecksum(body); got != want {
			t.Errorf("%s: checksum %s", d, got)
		}
	}
}

// TestScripts compares a key's address with BIP 84's and BIP 86's published ones for the same key.
func TestScripts(t *testing.T) {
	chain := newChain(t)
	for _, c := range []struct {
		typ             KeyType
		private, script string
	}{
		// BIP 84, account 0, first receiving address bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu
		{WPKH, "4604b4b710fe91f584fff084e1a9159fe4f8408fff380596a604948474ce4fa3", "0014c0cebcd6c3d3ca8c75dc5ec62ebe55330ef910e2"},
		// BIP 86, account 0, first receiving address bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr
		{TR, "41f41d69260df4cf277826a9b65a3717e4eeddbeedf637f212ca096576479361", "5120a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c"},
	} {
		payload := fmt.Sprintf(`{"v":1,"coin":%q,"network":%q,"type":%q,"private":%q,"descriptor":"%%s"}`, chain.Params().Coin, chain.Params().Network, c.typ, c.private)
		k, err := parseKey(fmt.Appendf(nil, payload, descriptorOf(t, chain, c.typ, c.private)), chain.Params())
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", k.Script()); got != c.script {
			t.Errorf("%s: script %s, want %s", c.typ, got, c.script)
		}
	}
}

func descriptorOf(t *testing.T, chain pool.Chain, typ KeyType, private string) string {
	t.Helper()
	var b []byte
	if _, err := fmt.Sscanf(private, "%x", &b); err != nil {
		t.Fatal(err)
	}
	k := testKey(chain, typ, 1)
	k.private.Key.SetByteSlice(b)
	return k.Descriptor()
}
