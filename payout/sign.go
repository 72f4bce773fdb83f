package payout

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// packetBytes writes a PSBT in its binary form.
func packetBytes(pkt *psbt.Packet) ([]byte, error) {
	var b bytes.Buffer
	if err := pkt.Serialize(&b); err != nil {
		return nil, fmt.Errorf("write psbt: %w", err)
	}
	return b.Bytes(), nil
}

// finalise takes a signer's answer, holds it against what the ledger decided, and returns the signed
// transaction. It refuses another unsigned transaction, another sighash, and signatures that do not
// satisfy the scripts of the ledger's inputs.
func finalise(d *BatchDoc, script []byte, signed *psbt.Packet) ([]byte, error) {
	sent, err := psbt.NewFromRawBytes(bytes.NewReader(d.PSBT), false)
	if err != nil {
		return nil, fmt.Errorf("read psbt: %w", err)
	}
	if txid := pool.Hash(sent.UnsignedTx.TxHash()); d.TxID == nil || txid != *d.TxID || len(sent.UnsignedTx.TxIn) != len(d.Inputs) {
		return nil, fmt.Errorf("the stored psbt makes transaction %s, the ledger says %v", txid, d.TxID)
	}
	if signed == nil || signed.UnsignedTx == nil || len(signed.Inputs) != len(d.Inputs) {
		return nil, fmt.Errorf("%w: it is not the psbt that was sent", ErrSigner)
	}
	before, err := noWitness(sent.UnsignedTx)
	if err != nil {
		return nil, err
	}
	after, err := noWitness(signed.UnsignedTx)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(before, after) {
		return nil, fmt.Errorf("%w: the unsigned transaction was changed", ErrSigner)
	}
	tx := sent.UnsignedTx.Copy()
	fetch := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range d.Inputs {
		witness, err := witnessOf(&signed.Inputs[i], script)
		if err != nil {
			return nil, fmt.Errorf("%w: input %d: %w", ErrSigner, i, err)
		}
		tx.TxIn[i].Witness = witness
		fetch.AddPrevOut(tx.TxIn[i].PreviousOutPoint, wire.NewTxOut(int64(in.Value), script))
	}
	hashes := txscript.NewTxSigHashes(tx, fetch)
	for i, in := range d.Inputs {
		engine, err := txscript.NewEngine(script, tx, i, txscript.StandardVerifyFlags, nil, hashes, int64(in.Value), fetch)
		if err == nil {
			err = engine.Execute()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: signature of input %d: %w", ErrSigner, i, err)
		}
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return nil, fmt.Errorf("write transaction: %w", err)
	}
	return raw.Bytes(), nil
}

// witnessOf makes an input's witness from its signature, and refuses every sighash but ALL and DEFAULT.
func witnessOf(in *psbt.PInput, script []byte) (wire.TxWitness, error) {
	if in.SighashType != txscript.SigHashAll && in.SighashType != txscript.SigHashDefault {
		return nil, fmt.Errorf("sighash type %#x instead of ALL", uint32(in.SighashType))
	}
	if len(in.FinalScriptSig) != 0 {
		return nil, fmt.Errorf("a segwit input has a scriptSig")
	}
	var witness wire.TxWitness
	taproot := txscript.IsPayToTaproot(script)
	switch {
	case len(in.FinalScriptWitness) != 0:
		var err error
		if witness, err = parseWitness(in.FinalScriptWitness); err != nil {
			return nil, err
		}
	case taproot && len(in.TaprootKeySpendSig) != 0:
		witness = wire.TxWitness{in.TaprootKeySpendSig}
	case !taproot && len(in.PartialSigs) == 1:
		witness = wire.TxWitness{in.PartialSigs[0].Signature, in.PartialSigs[0].PubKey}
	default:
		return nil, fmt.Errorf("not signed")
	}
	switch {
	case taproot && len(witness) == 1 && len(witness[0]) == 64:
	case taproot && len(witness) == 1 && len(witness[0]) == 65 && witness[0][64] == byte(txscript.SigHashAll):
	case !taproot && len(witness) == 2 && len(witness[0]) > 0 && witness[0][len(witness[0])-1] == byte(txscript.SigHashAll):
	default:
		return nil, fmt.Errorf("the witness is not one signature with sighash ALL")
	}
	return witness, nil
}

// maxWitness bounds a witness of one signature and one key.
const maxWitness = 128

// parseWitness reads a serialised witness of at most two short items.
func parseWitness(b []byte) (wire.TxWitness, error) {
	r := bytes.NewReader(b)
	n, err := wire.ReadVarInt(r, 0)
	if err != nil || n == 0 || n > 2 {
		return nil, fmt.Errorf("witness with %d items", n)
	}
	var w wire.TxWitness
	for range n {
		item, err := wire.ReadVarBytes(r, 0, maxWitness, "witness item")
		if err != nil {
			return nil, fmt.Errorf("read witness: %w", err)
		}
		w = append(w, item)
	}
	if r.Len() != 0 {
		return nil, fmt.Errorf("%d bytes after the witness", r.Len())
	}
	return w, nil
}

func noWitness(tx *wire.MsgTx) ([]byte, error) {
	var b bytes.Buffer
	if err := tx.SerializeNoWitness(&b); err != nil {
		return nil, fmt.Errorf("write transaction: %w", err)
	}
	return b.Bytes(), nil
}
