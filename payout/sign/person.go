package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Person is the key that one person approves with. It moves no money by itself.
type Person struct {
	Name    string
	private ed25519.PrivateKey
}

// personPayload is what a person's key file holds once it is decrypted.
type personPayload struct {
	V    int    `json:"v"`
	Name string `json:"name"`
	Seed string `json:"ed25519_seed"` // 64 hex digits
}

// ErrPerson reports a file that holds no approval key.
var ErrPerson = errors.New("not an approval key")

// CreatePerson makes a key and writes it to path as [CreateKey] does.
func CreatePerson(path, name string, lock Lock) (*Person, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	plain, err := json.Marshal(personPayload{1, name, hex.EncodeToString(private.Seed())})
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	if err := seal(path, plain, lock); err != nil {
		return nil, err
	}
	return OpenPerson(path, lock)
}

// OpenPerson decrypts a person's key file.
func OpenPerson(path string, lock Lock) (*Person, error) {
	plain, err := unseal(path, lock)
	if err != nil {
		return nil, err
	}
	return parsePerson(plain)
}

func parsePerson(plain []byte) (*Person, error) {
	var f personPayload
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.DisallowUnknownFields()
	seed, bad := []byte(nil), dec.Decode(&f) != nil || dec.More()
	if !bad {
		var err error
		seed, err = hex.DecodeString(f.Seed)
		bad = err != nil
	}
	if bad || f.V != 1 || len(seed) != ed25519.SeedSize || f.Name == "" {
		return nil, fmt.Errorf("%w: it is not in the format of one", ErrPerson)
	}
	return &Person{f.Name, ed25519.NewKeyFromSeed(seed)}, nil
}

// Public is what goes into the configuration: 64 hex digits.
func (p *Person) Public() string { return hex.EncodeToString(p.private.Public().(ed25519.PublicKey)) }

// String tells nothing of the private key.
func (p *Person) String() string { return p.Name + " " + p.Public() }

// Sign signs a text.
func (p *Person) Sign(text []byte) []byte { return ed25519.Sign(p.private, text) }

// ParsePublic reads a person's public key.
func ParsePublic(text string) (ed25519.PublicKey, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("approval key %.70q is not 64 hex digits", text)
	}
	return b, nil
}
