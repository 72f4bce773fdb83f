package sign

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
)

// Source is an output script that the pool spends from. All of them are segwit, so that a transaction's id
// is known before it is signed.
type Source struct {
	Script  []byte
	Witness []byte   // witness script of a P2WSH, else nil
	Keys    [][]byte // of Witness, in its order
	Need    int      // signatures that an input needs
	Size    int64    // bytes of an input's witness at its largest
}

// ErrSource reports an output script or descriptor that payouts cannot be made from.
var ErrSource = errors.New("payouts cannot be made from this reward address")

// Sizes of what stands in a witness, with its length byte.
const (
	sizeECDSA   = 1 + 72 // with its sighash byte
	sizeSchnorr = 1 + 64 // SIGHASH_DEFAULT
	sizeKey     = 1 + 33
	maxMultisig = 15 // keys of a multisig witness script
)

// SourceOf is the source of an output script that says all by itself: P2WPKH, and P2TR spent by its key.
func SourceOf(script []byte) (Source, error) {
	switch {
	case txscript.IsPayToWitnessPubKeyHash(script):
		return Source{Script: script, Need: 1, Size: 1 + sizeECDSA + sizeKey}, nil
	case txscript.IsPayToTaproot(script):
		return Source{Script: script, Need: 1, Size: 1 + sizeSchnorr}, nil
	case txscript.IsPayToWitnessScriptHash(script):
		return Source{}, fmt.Errorf("%w: it is a script address (P2WSH): set descriptor to its wsh(sortedmulti(…))", ErrSource)
	case txscript.IsPayToScriptHash(script), txscript.IsPayToPubKeyHash(script):
		return Source{}, fmt.Errorf("%w: it is not a segwit address, so the id of a payout would not be known before it is signed", ErrSource)
	}
	return Source{}, fmt.Errorf("%w: its type is not known", ErrSource)
}

// ParseDescriptor reads wpkh(KEY), tr(KEY) and wsh(sortedmulti(M,KEY,…)) with compressed keys in hex (BIP
// 380 to 386), with or without checksum.
func ParseDescriptor(text string) (Source, error) {
	bad := func(format string, args ...any) (Source, error) {
		return Source{}, fmt.Errorf("descriptor: %s", fmt.Sprintf(format, args...))
	}
	if len(text) > 2000 {
		return bad("it has %d characters", len(text))
	}
	body, sum, checked := strings.Cut(text, "#")
	if i := strings.IndexFunc(body, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return bad("character %d is no part of one", i+1)
	}
	if checked && sum != descriptorChecksum(body) {
		return bad("its checksum is %s, not %.20q", descriptorChecksum(body), sum)
	}
	inside := func(name string) (string, bool) {
		rest, ok := strings.CutPrefix(body, name+"(")
		if !ok {
			return "", false
		}
		return strings.CutSuffix(rest, ")")
	}
	if k, ok := inside("wpkh"); ok {
		key, err := parsePublic(k)
		if err != nil {
			return bad("%v", err)
		}
		return SourceOf(append([]byte{txscript.OP_0, 20}, btcutil.Hash160(key.SerializeCompressed())...))
	}
	if k, ok := inside("tr"); ok {
		if len(k) == 64 { // x-only
			k = "02" + k
		}
		key, err := parsePublic(k)
		if err != nil {
			return bad("%v", err)
		}
		return SourceOf(append([]byte{txscript.OP_1, 32}, schnorr.SerializePubKey(txscript.ComputeTaprootKeyNoScript(key))...))
	}
	list, ok := inside("wsh(sortedmulti")
	if !ok || !strings.HasSuffix(list, ")") {
		return bad("it is none of wpkh(KEY), tr(KEY) and wsh(sortedmulti(M,KEY,…))")
	}
	parts := strings.Split(strings.TrimSuffix(list, ")"), ",")
	need, err := strconv.Atoi(parts[0])
	n := len(parts) - 1
	if err != nil || need < 1 || need > n || n > maxMultisig {
		return bad("sortedmulti needs 1 to %d keys and as many signatures at most, it asks for %.20q of %d", maxMultisig, parts[0], n)
	}
	s := Source{Need: need}
	for _, p := range parts[1:] {
		key, err := parsePublic(p)
		if err != nil {
			return bad("%v", err)
		}
		s.Keys = append(s.Keys, key.SerializeCompressed())
	}
	slices.SortFunc(s.Keys, bytes.Compare)
	if len(slices.CompactFunc(slices.Clone(s.Keys), bytes.Equal)) != n {
		return bad("it has a key twice")
	}
	s.Witness = append(s.Witness, txscript.OP_1+byte(need-1))
	for _, k := range s.Keys {
		s.Witness = append(append(s.Witness, 33), k...)
	}
	s.Witness = append(s.Witness, txscript.OP_1+byte(n-1), txscript.OP_CHECKMULTISIG)
	sum256 := sha256.Sum256(s.Witness)
	s.Script = append([]byte{txscript.OP_0, 32}, sum256[:]...)
	length := int64(1)
	if len(s.Witness) > 252 {
		length = 3
	}
	s.Size = 1 + 1 + int64(need)*sizeECDSA + length + int64(len(s.Witness))
	return s, nil
}

func parsePublic(text string) (*btcec.PublicKey, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 33 {
		return nil, fmt.Errorf("key %.70q is not 66 hex digits of a compressed public key", text)
	}
	key, err := btcec.ParsePubKey(b)
	if err != nil {
		return nil, fmt.Errorf("key %s is not on the curve", text)
	}
	return key, nil
}
