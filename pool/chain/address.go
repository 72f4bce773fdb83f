package chain

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/btcsuite/btcd/btcutil/bech32"
)

// Addresses are the prefixes of one network's addresses.
type Addresses struct {
	PubKeyHash []byte // base58check version bytes; the first is the one written
	ScriptHash []byte // likewise
	HRP        string // of bech32 (BIP173, BIP350), "" when the coin has no segwit
	Example    string // how addresses begin, for messages: "bc1…, 1… or 3…"
	// Others names other networks' addresses by a prefix (HRP with its '1', or the base58 version byte),
	// so that a wrong one can be explained.
	Others   []Foreign
	OtherIDs map[byte]string
}

// Foreign is a prefix of addresses that are not paid here.
type Foreign struct {
	Prefix string // lower case, such as "tb1"
	What   string // completes "this is …": "a testnet or signet address"
}

// ErrAddress is wrapped by every refusal of an address; the text is for the address's owner.
var ErrAddress = errors.New("address refused")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrAddress}, args...)...)
}

// maxAddress is longer than any address; longer text is not looked at.
const maxAddress = 128

// minBase58 and maxBase58 bound the length of 25 bytes in base58.
const (
	minBase58 = 25
	maxBase58 = 36
)

// Script opcodes of the standard output forms.
const (
	opDup         = 0x76
	opHash160     = 0xa9
	opEqual       = 0x87
	opEqualVerify = 0x88
	opCheckSig    = 0xac
	op1           = 0x51
)

// Script returns the canonical output script of an address: P2PKH, P2SH, P2WPKH, P2WSH or P2TR. Every
// refusal wraps [ErrAddress].
func (c *Coin) Script(address string) ([]byte, error) {
	switch {
	case address == "":
		return nil, refuse("it is empty")
	case len(address) > maxAddress:
		return nil, refuse("%d characters are too many", len(address))
	}
	for i := 0; i < len(address); i++ {
		if b := address[i]; b <= ' ' || b > '~' {
			return nil, refuse("character %d is a space or no ASCII letter or digit", i+1)
		}
	}
	lower := strings.ToLower(address)
	a := &c.addresses
	if a.HRP != "" && strings.HasPrefix(lower, a.HRP+"1") {
		return c.witnessScript(address)
	}
	for _, f := range a.Others {
		if strings.HasPrefix(lower, f.Prefix) && f.isWhole(address) {
			return nil, refuse("this is %s; on %s they begin with %s", f.What, c.name(), a.Example)
		}
	}
	return c.base58Script(address)
}

// isWhole keeps a base58 address that happens to begin like an HRP ("Tb1…") from being misnamed: bech32
// text is of one case.
func (f Foreign) isWhole(address string) bool {
	return address == strings.ToLower(address) || address == strings.ToUpper(address)
}

func (c *Coin) name() string { return c.params.Coin + " " + c.params.Network }

func (c *Coin) base58Script(address string) ([]byte, error) {
	hash, version, err := base58.CheckDecode(address)
	switch {
	case len(address) < minBase58 || len(address) > maxBase58:
		return nil, refuse("it is no %s address; they begin with %s", c.name(), c.addresses.Example)
	case errors.Is(err, base58.ErrChecksum):
		return nil, refuse("its checksum is wrong: a character is missing or mistyped")
	case err != nil:
		return nil, refuse("it is no %s address; they begin with %s", c.name(), c.addresses.Example)
	case len(hash) != 20:
		return nil, refuse("it holds %d bytes in place of 20", len(hash))
	}
	switch {
	case slices.Contains(c.addresses.PubKeyHash, version):
		return payToPubKeyHash(hash), nil
	case slices.Contains(c.addresses.ScriptHash, version):
		return payToScriptHash(hash), nil
	}
	if what := c.addresses.OtherIDs[version]; what != "" {
		return nil, refuse("this is %s; on %s they begin with %s", what, c.name(), c.addresses.Example)
	}
	return nil, refuse("it belongs to another coin or network (version byte 0x%02x); on %s they begin with %s", version, c.name(), c.addresses.Example)
}

func (c *Coin) witnessScript(address string) ([]byte, error) {
	if strings.ToLower(address) != address && strings.ToUpper(address) != address {
		return nil, refuse("it mixes capital and small letters")
	}
	hrp, words, encoding, err := bech32.DecodeGeneric(address)
	var checksum bech32.ErrInvalidChecksum
	switch {
	case errors.As(err, &checksum):
		return nil, refuse("its checksum is wrong: a character is missing or mistyped")
	case err != nil:
		return nil, refuse("it is not written as bech32: %v", err)
	case hrp != c.addresses.HRP || len(words) == 0:
		return nil, refuse("it is no %s address; they begin with %s", c.name(), c.addresses.Example)
	}
	version := words[0]
	program, err := bech32.ConvertBits(words[1:], 5, 8, false)
	if err != nil {
		return nil, refuse("its padding is wrong: %v", err)
	}
	switch {
	case version == 0 && encoding != bech32.Version0, version > 0 && encoding != bech32.VersionM:
		return nil, refuse("its checksum is of the wrong kind for witness version %d (BIP350)", version)
	case version == 0 && len(program) != 20 && len(program) != 32:
		return nil, refuse("witness version 0 holds %d bytes in place of 20 or 32", len(program))
	case version == 1 && len(program) != 32:
		return nil, refuse("witness version 1 holds %d bytes in place of 32", len(program))
	case version > 1:
		return nil, refuse("witness version %d is not known: nobody can say who may spend from it", version)
	}
	if version == 1 {
		if _, err := schnorr.ParsePubKey(program); err != nil {
			return nil, refuse("its taproot key is no point of the curve: nobody could ever spend from it")
		}
	}
	return payToWitness(version, program), nil
}

// Address returns the usual spelling of a standard output script.
func (c *Coin) Address(script []byte) (string, error) {
	a := &c.addresses
	switch {
	case len(script) == 25 && bytes.Equal(script, payToPubKeyHash(script[3:23])):
		return base58.CheckEncode(script[3:23], a.PubKeyHash[0]), nil
	case len(script) == 23 && bytes.Equal(script, payToScriptHash(script[2:22])):
		return base58.CheckEncode(script[2:22], a.ScriptHash[0]), nil
	case a.HRP == "" || len(script) < 2 || len(script) != 2+int(script[1]):
	case script[0] == 0 && (len(script) == 22 || len(script) == 34):
		return encodeWitness(a.HRP, 0, script[2:])
	case script[0] == op1 && len(script) == 34:
		return encodeWitness(a.HRP, 1, script[2:])
	}
	return "", fmt.Errorf("script %.80x has no address on %s", script, c.name())
}

func encodeWitness(hrp string, version byte, program []byte) (string, error) {
	words, err := bech32.ConvertBits(program, 8, 5, true)
	if err != nil {
		return "", fmt.Errorf("encode witness program: %w", err)
	}
	encode := bech32.Encode
	if version > 0 {
		encode = bech32.EncodeM
	}
	return encode(hrp, append([]byte{version}, words...))
}

func payToPubKeyHash(hash []byte) []byte {
	s := append(make([]byte, 0, 25), opDup, opHash160, 20)
	return append(append(s, hash...), opEqualVerify, opCheckSig)
}

func payToScriptHash(hash []byte) []byte {
	s := append(make([]byte, 0, 23), opHash160, 20)
	return append(append(s, hash...), opEqual)
}

func payToWitness(version byte, program []byte) []byte {
	if version > 0 {
		version += op1 - 1
	}
	return append([]byte{version, byte(len(program))}, program...)
}
