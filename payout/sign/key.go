package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// KeyType is the type of address that a key is for.
type KeyType string

// The types of a key: segwit version 0, and taproot by its key path.
const (
	WPKH KeyType = "wpkh"
	TR   KeyType = "tr"
)

// ErrKeyFile reports a key file that does not hold a key of this pool's coin and network.
var ErrKeyFile = errors.New("not a payout key of this pool")

// Key is a private key that signs for one address, or for its part of a multisig address.
type Key struct {
	coin, network string
	typ           KeyType
	private       *btcec.PrivateKey
}

// keyPayload is what the key file holds once it is decrypted.
type keyPayload struct {
	V          int     `json:"v"`
	Coin       string  `json:"coin"`
	Network    string  `json:"network"`
	Type       KeyType `json:"type"`
	Private    string  `json:"private"`    // 64 hex digits
	Descriptor string  `json:"descriptor"` // public, with checksum (BIP 380)
}

// keyVersion is the format of keyPayload.
const keyVersion = 1

// newKey makes a random key.
func newKey(params *pool.Params, typ KeyType) (*Key, error) {
	if typ != WPKH && typ != TR {
		return nil, fmt.Errorf("key type %q is not %s or %s", typ, WPKH, TR)
	}
	private, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return &Key{params.Coin, params.Network, typ, private}, nil
}

// KeyOf is the key of a secret that is known already.
func KeyOf(params *pool.Params, typ KeyType, private *btcec.PrivateKey) *Key {
	return &Key{params.Coin, params.Network, typ, private}
}

// Type is the type of address.
func (k *Key) Type() KeyType { return k.typ }

// Script is the output script that the key signs for.
func (k *Key) Script() []byte {
	if k.typ == TR {
		return append([]byte{txscript.OP_1, 32}, schnorr.SerializePubKey(txscript.ComputeTaprootKeyNoScript(k.private.PubKey()))...)
	}
	return append([]byte{txscript.OP_0, 20}, btcutil.Hash160(k.private.PubKey().SerializeCompressed())...)
}

// Descriptor is the public output descriptor with its checksum: wpkh(key) (BIP 382) or tr(key) (BIP 386).
func (k *Key) Descriptor() string {
	public := k.private.PubKey().SerializeCompressed()
	if k.typ == TR {
		public = schnorr.SerializePubKey(k.private.PubKey())
	}
	d := fmt.Sprintf("%s(%x)", k.typ, public)
	return d + "#" + descriptorChecksum(d)
}

// String tells nothing of the private key.
func (k *Key) String() string { return k.Descriptor() }

// Public is the key as it stands in descriptors: 66 hex digits.
func (k *Key) Public() string { return hex.EncodeToString(k.private.PubKey().SerializeCompressed()) }

// Sign signs every input, each of which must be the key's own. Signatures are SIGHASH_ALL, or SIGHASH_DEFAULT
// for taproot, and are the same for the same packet.
func (k *Key) Sign(ctx context.Context, pkt *psbt.Packet) (*psbt.Packet, error) {
	return Keys{k}.Sign(ctx, pkt)
}

// sign signs the inputs that are the key's own and notes which.
func (k *Key) sign(pkt *psbt.Packet, signed []bool) error {
	tx, script, public := pkt.UnsignedTx, k.Script(), k.private.PubKey().SerializeCompressed()
	fetch := txscript.NewMultiPrevOutFetcher(nil)
	for i := range pkt.Inputs {
		prev, err := previousOutput(pkt, i)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		fetch.AddPrevOut(tx.TxIn[i].PreviousOutPoint, prev)
	}
	hashes := txscript.NewTxSigHashes(tx, fetch)
	for i := range pkt.Inputs {
		in := &pkt.Inputs[i]
		prev := fetch.FetchPrevOutput(tx.TxIn[i].PreviousOutPoint)
		locked := script
		switch {
		case bytes.Equal(prev.PkScript, script) && k.typ == TR:
			sig, err := txscript.RawTxInTaprootSignature(tx, hashes, i, prev.Value, script, nil, txscript.SigHashDefault, k.private)
			if err != nil {
				return fmt.Errorf("sign input %d: %w", i, err)
			}
			in.TaprootKeySpendSig, signed[i] = sig, true
			continue
		case bytes.Equal(prev.PkScript, script):
		case k.typ == WPKH && part(in.WitnessScript, prev.PkScript, public):
			locked = in.WitnessScript
		default:
			continue
		}
		sig, err := txscript.RawTxInWitnessSignature(tx, hashes, i, prev.Value, locked, txscript.SigHashAll, k.private)
		if err != nil {
			return fmt.Errorf("sign input %d: %w", i, err)
		}
		signed[i] = true
		if !slices.ContainsFunc(in.PartialSigs, func(p *psbt.PartialSig) bool { return bytes.Equal(p.PubKey, public) }) {
			in.PartialSigs = append(in.PartialSigs, &psbt.PartialSig{PubKey: public, Signature: sig})
		}
	}
	return nil
}

// part reports whether a witness script is the one that an output asks for and has a key in it.
func part(witness, script, public []byte) bool {
	sum := sha256.Sum256(witness)
	return len(witness) > 0 && txscript.IsPayToWitnessScriptHash(script) && bytes.Equal(script[2:], sum[:]) &&
		bytes.Contains(witness, append([]byte{byte(len(public))}, public...))
}

// previousOutput is the output that an input spends, taken from the full previous transaction.
func previousOutput(pkt *psbt.Packet, i int) (*wire.TxOut, error) {
	point := pkt.UnsignedTx.TxIn[i].PreviousOutPoint
	prev := pkt.Inputs[i].NonWitnessUtxo
	if prev == nil || prev.TxHash() != point.Hash || uint64(point.Index) >= uint64(len(prev.TxOut)) {
		return nil, fmt.Errorf("the psbt does not hold the transaction that made coin %s", point)
	}
	return prev.TxOut[point.Index], nil
}

func (k *Key) marshal() ([]byte, error) {
	b, err := json.MarshalIndent(keyPayload{
		V: keyVersion, Coin: k.coin, Network: k.network, Type: k.typ,
		Private: hex.EncodeToString(k.private.Serialize()), Descriptor: k.Descriptor(),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return append(b, '\n'), nil
}

// parseKey reads a decrypted key file. No part of it is repeated in errors.
func parseKey(b []byte, params *pool.Params) (*Key, error) {
	var f keyPayload
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil || dec.More() {
		return nil, fmt.Errorf("%w: it is not in the format of a key file", ErrKeyFile)
	}
	switch {
	case f.V != keyVersion:
		return nil, fmt.Errorf("%w: format %d, this version reads %d", ErrKeyFile, f.V, keyVersion)
	case f.Coin != params.Coin || f.Network != params.Network:
		return nil, fmt.Errorf("%w: it is for %.32q on %.32q, the pool is %s on %s", ErrKeyFile, f.Coin, f.Network, params.Coin, params.Network)
	case f.Type != WPKH && f.Type != TR:
		return nil, fmt.Errorf("%w: type %.32q", ErrKeyFile, f.Type)
	}
	secret, err := hex.DecodeString(f.Private)
	if err != nil || len(secret) != 32 {
		return nil, fmt.Errorf("%w: the private key is not 64 hex digits", ErrKeyFile)
	}
	var scalar btcec.ModNScalar
	if overflow := scalar.SetByteSlice(secret); overflow || scalar.IsZero() {
		return nil, fmt.Errorf("%w: the private key is out of range", ErrKeyFile)
	}
	k := &Key{f.Coin, f.Network, f.Type, btcec.PrivKeyFromScalar(&scalar)}
	if f.Descriptor != k.Descriptor() {
		return nil, fmt.Errorf("%w: its descriptor belongs to another key", ErrKeyFile)
	}
	return k, nil
}

// descriptorChecksum is the checksum of an output descriptor (BIP 380), 8 characters.
func descriptorChecksum(descriptor string) string {
	const inputs = "0123456789()[],'/*abcdefgh@:$%{}" +
		"IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~" +
		"ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
	const digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	generator := [5]uint64{0xf5dee51989, 0xa9fdca3312, 0x1bab10e32d, 0x3706b1677a, 0x644d626ffd}
	c := uint64(1)
	step := func(v int) {
		top := c >> 35
		c = (c&0x7ffffffff)<<5 ^ uint64(v)
		for i, g := range generator {
			if top>>i&1 == 1 {
				c ^= g
			}
		}
	}
	class, count := 0, 0
	for i := range len(descriptor) {
		at := bytes.IndexByte([]byte(inputs), descriptor[i])
		step(at & 31)
		class = class*3 + at>>5
		if count++; count == 3 {
			step(class)
			class, count = 0, 0
		}
	}
	if count > 0 {
		step(class)
	}
	for range 8 {
		step(0)
	}
	c ^= 1
	var out [8]byte
	for i := range out {
		out[i] = digits[c>>(5*(7-i))&31]
	}
	return string(out[:])
}
