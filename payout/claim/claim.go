// Package claim checks that a text was signed by whoever can spend from an address: BIP 322 "simple" signatures for
// P2WPKH and P2TR, and the older signmessage for P2PKH. It knows no accounts and what a text means.
package claim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// ErrSignature reports a signature that is not that of the address over the text.
var ErrSignature = errors.New("the signature is not by this address over this text")

// ErrKind reports an output script whose owner cannot sign texts by the ways that there are here.
var ErrKind = errors.New("addresses of this kind cannot sign a text")

const maxSignature = 1000 // characters

// Verify checks a signature in base64 by the owner of an output script over a text. magic opens what signmessage
// hashes: "Bitcoin Signed Message:\n" or that of another coin.
func Verify(script []byte, magic, text, signature string) error {
	if len(signature) > maxSignature {
		return fmt.Errorf("%w: it has %d characters", ErrSignature, len(signature))
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return fmt.Errorf("%w: it is not base64", ErrSignature)
	}
	switch {
	case txscript.IsPayToPubKeyHash(script):
		return compact(script, magic, text, raw)
	case txscript.IsPayToWitnessPubKeyHash(script), txscript.IsPayToTaproot(script):
		return simple(script, text, raw)
	}
	return ErrKind
}

// compact is signmessage: a recoverable signature over SHA-256d(magic and text, each behind its length).
func compact(script []byte, magic, text string, raw []byte) error {
	var b bytes.Buffer
	for _, part := range []string{magic, text} {
		if err := wire.WriteVarString(&b, 0, part); err != nil {
			return err
		}
	}
	if len(raw) != 65 {
		return fmt.Errorf("%w: %d bytes instead of 65", ErrSignature, len(raw))
	}
	key, compressed, err := ecdsa.RecoverCompact(raw, chainhash.DoubleHashB(b.Bytes()))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	public := key.SerializeUncompressed()
	if compressed {
		public = key.SerializeCompressed()
	}
	if !bytes.Equal(btcutil.Hash160(public), script[3:23]) {
		return ErrSignature
	}
	return nil
}

// simple is BIP 322: the witness of a transaction that spends a virtual output to the script.
func simple(script []byte, text string, raw []byte) error {
	r := bytes.NewReader(raw)
	n, err := wire.ReadVarInt(r, 0)
	if err != nil || n == 0 || n > 2 {
		return fmt.Errorf("%w: it is not a witness", ErrSignature)
	}
	var witness wire.TxWitness
	for range n {
		item, err := wire.ReadVarBytes(r, 0, 128, "witness item")
		if err != nil {
			return fmt.Errorf("%w: it is not a witness", ErrSignature)
		}
		witness = append(witness, item)
	}
	if r.Len() != 0 {
		return fmt.Errorf("%w: %d bytes after the witness", ErrSignature, r.Len())
	}
	spend := wire.NewMsgTx(0)
	hash := tagged("BIP0322-signed-message", text)
	spend.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: wire.MaxPrevOutIndex},
		SignatureScript:  append([]byte{txscript.OP_0, txscript.OP_DATA_32}, hash[:]...),
	})
	spend.AddTxOut(wire.NewTxOut(0, script))
	sign := wire.NewMsgTx(0)
	sign.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: spend.TxHash()}, Witness: witness})
	sign.AddTxOut(wire.NewTxOut(0, []byte{txscript.OP_RETURN}))
	fetch := txscript.NewCannedPrevOutputFetcher(script, 0)
	engine, err := txscript.NewEngine(script, sign, 0, txscript.StandardVerifyFlags, nil, txscript.NewTxSigHashes(sign, fetch), 0, fetch)
	if err == nil {
		err = engine.Execute()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// tagged is SHA-256 over the tag's SHA-256 twice and the text (BIP 340).
func tagged(tag, text string) [32]byte {
	t := sha256.Sum256([]byte(tag))
	return sha256.Sum256(append(append(t[:], t[:]...), text...))
}
