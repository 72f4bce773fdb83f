package sign

import (
	"testing"
)

// FuzzParseKey: a decrypted key file is refused or comes back the same.
func FuzzParseKey(f *testing.F) {
	chain := newChain(f)
	for _, typ := range []KeyType{WPKH, TR} {
		b, err := testKey(chain, typ, 3).marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKey(b, chain.Params())
		if err != nil {
			return
		}
		again, err := k.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if other, err := parseKey(again, chain.Params()); err != nil || !other.private.Key.Equals(&k.private.Key) {
			t.Fatalf("not the same key: %v", err)
		}
	})
}

// FuzzOpenKey: an encrypted file from anywhere never panics.
func FuzzOpenKey(f *testing.F) {
	f.Add([]byte("-----BEGIN AGE ENCRYPTED FILE-----\n"))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAA 10\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decrypt(b, nil); err == nil {
			t.Fatal("opened without a key")
		}
	})
}

// FuzzParseDescriptor: a descriptor is refused or gives a script of a kind that is spent from.
func FuzzParseDescriptor(f *testing.F) {
	key := testKey(newChain(f), WPKH, 3)
	f.Add(key.Descriptor())
	f.Add("wsh(sortedmulti(1," + key.Public() + "))")
	f.Add("tr(" + key.Public()[2:] + ")")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseDescriptor(text)
		if err == nil && (len(s.Script) != 22 && len(s.Script) != 34 || s.Need < 1 || s.Size < 66) {
			t.Fatalf("%q: %+v", text, s)
		}
	})
}

// FuzzParsePerson: a decrypted approval key is refused or complete.
func FuzzParsePerson(f *testing.F) {
	f.Add([]byte(`{"v":1,"name":"a","ed25519_seed":"0000000000000000000000000000000000000000000000000000000000000000"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePerson(b)
		if err != nil {
			return
		}
		if _, err := ParsePublic(p.Public()); err != nil || p.Name == "" {
			t.Fatalf("%v: %v", p, err)
		}
	})
}
