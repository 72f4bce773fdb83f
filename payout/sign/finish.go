package sign

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// ErrRefused reports a signer's answer that is not taken: another unsigned transaction, another sighash, or a
// signature that does not verify.
var ErrRefused = errors.New("the signer's answer was refused")

// ErrIncomplete reports a PSBT whose signatures are right but too few.
var ErrIncomplete = errors.New("more signatures are needed")

// Spent is an output that an input of the asked transaction spends.
type Spent struct {
	Value  int64 // base units
	Source Source
}

// Packet makes the PSBT to be signed: every input with its full previous transaction and its output.
func Packet(tx *wire.MsgTx, previous []*wire.MsgTx, spent []Spent) ([]byte, error) {
	pkt, err := psbt.NewFromUnsignedTx(tx)
	if err != nil {
		return nil, fmt.Errorf("make psbt: %w", err)
	}
	for i := range pkt.Inputs {
		in := &pkt.Inputs[i]
		in.NonWitnessUtxo = previous[i]
		in.WitnessUtxo = previous[i].TxOut[tx.TxIn[i].PreviousOutPoint.Index]
		in.WitnessScript = spent[i].Source.Witness
		if !txscript.IsPayToTaproot(spent[i].Source.Script) {
			in.SighashType = txscript.SigHashAll
		}
	}
	return packetBytes(pkt)
}

// Parse reads a PSBT in its binary form or in base64.
func Parse(b []byte) (*psbt.Packet, error) {
	text := !bytes.HasPrefix(b, []byte("psbt\xff"))
	if text {
		b = bytes.TrimSpace(b)
	}
	pkt, err := psbt.NewFromRawBytes(bytes.NewReader(b), text)
	if err != nil {
		return nil, fmt.Errorf("read psbt: %w", err)
	}
	return pkt, nil
}

// Finish takes an answer to the packet in asked, holds it against that, and returns the signed transaction.
// When signatures are right but too few, it returns [ErrIncomplete] and the packet with what there is now, to
// be asked again. Any other error is [ErrRefused].
func Finish(asked []byte, spent []Spent, answer *psbt.Packet) (raw, merged []byte, err error) {
	sent, err := Parse(asked)
	if err != nil {
		return nil, nil, err
	}
	if answer == nil || answer.UnsignedTx == nil || len(answer.Inputs) != len(sent.Inputs) || len(spent) != len(sent.Inputs) {
		return nil, nil, fmt.Errorf("%w: it is not the psbt that was sent", ErrRefused)
	}
	before, err := noWitness(sent.UnsignedTx)
	if err != nil {
		return nil, nil, err
	}
	after, err := noWitness(answer.UnsignedTx)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(before, after) {
		return nil, nil, fmt.Errorf("%w: the unsigned transaction was changed", ErrRefused)
	}
	tx := sent.UnsignedTx.Copy()
	fetch := txscript.NewMultiPrevOutFetcher(nil)
	for i, s := range spent {
		fetch.AddPrevOut(tx.TxIn[i].PreviousOutPoint, wire.NewTxOut(s.Value, s.Source.Script))
	}
	hashes := txscript.NewTxSigHashes(tx, fetch)
	missing := 0
	for i, s := range spent {
		in := &answer.Inputs[i]
		var got int
		if s.Source.Witness != nil && len(in.FinalScriptWitness) == 0 {
			if got, err = collect(&sent.Inputs[i], in, s, tx, hashes, i); err != nil {
				return nil, nil, fmt.Errorf("%w: input %d: %w", ErrRefused, i, err)
			}
			if got < s.Source.Need {
				missing = max(missing, s.Source.Need-got)
				continue
			}
			in = &sent.Inputs[i]
		}
		if tx.TxIn[i].Witness, err = witnessOf(in, s.Source); err != nil {
			return nil, nil, fmt.Errorf("%w: input %d: %w", ErrRefused, i, err)
		}
	}
	if missing > 0 {
		b, err := packetBytes(sent)
		if err != nil {
			return nil, nil, err
		}
		return nil, b, fmt.Errorf("%w: %d", ErrIncomplete, missing)
	}
	for i, s := range spent {
		engine, err := txscript.NewEngine(s.Source.Script, tx, i, txscript.StandardVerifyFlags, nil, hashes, s.Value, fetch)
		if err == nil {
			err = engine.Execute()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: signature of input %d: %w", ErrRefused, i, err)
		}
	}
	var out bytes.Buffer
	if err := tx.Serialize(&out); err != nil {
		return nil, nil, fmt.Errorf("write transaction: %w", err)
	}
	return out.Bytes(), nil, nil
}

// collect adds the answer's signatures of a multisig input to those that there are, each verified, and returns
// how many there are now.
func collect(have, in *psbt.PInput, s Spent, tx *wire.MsgTx, hashes *txscript.TxSigHashes, i int) (int, error) {
	if in.SighashType != txscript.SigHashAll && in.SighashType != 0 {
		return 0, fmt.Errorf("sighash type %#x instead of ALL", uint32(in.SighashType))
	}
	digest, err := txscript.CalcWitnessSigHash(s.Source.Witness, hashes, txscript.SigHashAll, tx, i, s.Value)
	if err != nil {
		return 0, fmt.Errorf("hash: %w", err)
	}
	for _, p := range in.PartialSigs {
		known := slices.ContainsFunc(have.PartialSigs, func(q *psbt.PartialSig) bool { return bytes.Equal(q.PubKey, p.PubKey) })
		if known {
			continue
		}
		if !slices.ContainsFunc(s.Source.Keys, func(k []byte) bool { return bytes.Equal(k, p.PubKey) }) {
			return 0, fmt.Errorf("a signature by key %x, which is none of the address", p.PubKey)
		}
		n := len(p.Signature)
		if n < 9 || p.Signature[n-1] != byte(txscript.SigHashAll) {
			return 0, errors.New("a signature without sighash ALL")
		}
		sig, err := ecdsa.ParseDERSignature(p.Signature[:n-1])
		if err != nil {
			return 0, fmt.Errorf("signature: %w", err)
		}
		key, err := parsePublic(fmt.Sprintf("%x", p.PubKey))
		if err != nil {
			return 0, err
		}
		if !sig.Verify(digest, key) {
			return 0, fmt.Errorf("the signature by key %x is wrong", p.PubKey)
		}
		have.PartialSigs = append(have.PartialSigs, p)
	}
	return len(have.PartialSigs), nil
}

// witnessOf makes an input's witness from its signatures, and refuses every sighash but ALL and DEFAULT.
func witnessOf(in *psbt.PInput, s Source) (wire.TxWitness, error) {
	if in.SighashType != txscript.SigHashAll && in.SighashType != txscript.SigHashDefault {
		return nil, fmt.Errorf("sighash type %#x instead of ALL", uint32(in.SighashType))
	}
	if len(in.FinalScriptSig) != 0 {
		return nil, errors.New("a segwit input has a scriptSig")
	}
	var witness wire.TxWitness
	taproot := txscript.IsPayToTaproot(s.Script)
	switch {
	case len(in.FinalScriptWitness) != 0:
		var err error
		if witness, err = parseWitness(in.FinalScriptWitness); err != nil {
			return nil, err
		}
	case taproot && len(in.TaprootKeySpendSig) != 0:
		witness = wire.TxWitness{in.TaprootKeySpendSig}
	case s.Witness != nil:
		witness = wire.TxWitness{nil}
		for _, k := range s.Keys {
			for _, p := range in.PartialSigs {
				if bytes.Equal(p.PubKey, k) && len(witness) <= s.Need {
					witness = append(witness, p.Signature)
				}
			}
		}
		witness = append(witness, s.Witness)
	case !taproot && len(in.PartialSigs) == 1:
		witness = wire.TxWitness{in.PartialSigs[0].Signature, in.PartialSigs[0].PubKey}
	default:
		return nil, errors.New("not signed")
	}
	all := func(sig []byte) bool { return len(sig) > 0 && sig[len(sig)-1] == byte(txscript.SigHashAll) }
	switch n := len(witness); {
	case taproot && n == 1 && len(witness[0]) == 64:
	case taproot && n == 1 && len(witness[0]) == 65 && all(witness[0]):
	case !taproot && s.Witness == nil && n == 2 && all(witness[0]):
	case s.Witness != nil && n == s.Need+2 && len(witness[0]) == 0 && bytes.Equal(witness[n-1], s.Witness) &&
		!slices.ContainsFunc(witness[1:n-1], func(sig []byte) bool { return !all(sig) }):
	default:
		return nil, errors.New("the witness is not made of signatures with sighash ALL alone")
	}
	return witness, nil
}

// parseWitness reads a serialised witness of at most a multisig's size.
func parseWitness(b []byte) (wire.TxWitness, error) {
	const maxItem = 3 + maxMultisig*34
	r := bytes.NewReader(b)
	n, err := wire.ReadVarInt(r, 0)
	if err != nil || n == 0 || n > maxMultisig+2 {
		return nil, fmt.Errorf("witness with %d items", n)
	}
	var w wire.TxWitness
	for range n {
		item, err := wire.ReadVarBytes(r, 0, maxItem, "witness item")
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

func packetBytes(pkt *psbt.Packet) ([]byte, error) {
	var b bytes.Buffer
	if err := pkt.Serialize(&b); err != nil {
		return nil, fmt.Errorf("write psbt: %w", err)
	}
	return b.Bytes(), nil
}

func noWitness(tx *wire.MsgTx) ([]byte, error) {
	var b bytes.Buffer
	if err := tx.SerializeNoWitness(&b); err != nil {
		return nil, fmt.Errorf("write transaction: %w", err)
	}
	return b.Bytes(), nil
}
