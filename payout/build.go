package payout

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// Transaction form: version 2, no locktime, and a sequence number that lets a later fee bump replace it
// (BIP 125).
const (
	txVersion  = 2
	txSequence = wire.MaxTxInSequenceNum - 2
)

// feeRate asks the node what a transaction costs now, in base units per kvB.
func (p *Payouts) feeRate(ctx context.Context) (pool.Amount, error) {
	rate, err := p.node.EstimateFee(ctx, p.feeTarget)
	if err != nil || rate <= 0 {
		p.log.Debug().Err(err).Int64("rate", int64(p.feeFallback)).Msg("no fee estimate, configured rate used")
		rate = p.feeFallback
	}
	rate = max(rate, minFeeRate)
	if rate > p.feeCeiling {
		return 0, fmt.Errorf("%w: %d per kvB now, ceiling %d", ErrFeeRate, rate, p.feeCeiling)
	}
	return rate, nil
}

// plan fills a batch's inputs, outputs and fee from the free coins, each checked unspent on the node. It
// returns the coins in the order of the inputs, and the unsigned transaction.
//
// The baton comes first on both sides; payees follow in the order of their scripts, then change. What is
// too little for a change output goes into the baton.
func (p *Payouts) plan(ctx context.Context, d *BatchDoc) ([]coin, *wire.MsgTx, error) {
	if p.unspendable != nil {
		return nil, nil, p.unspendable
	}
	if err := p.checkPin(); err != nil {
		return nil, nil, err
	}
	rate, err := p.feeRate(ctx)
	if err != nil {
		return nil, nil, err
	}
	free, err := p.fold.coins(true)
	if err != nil {
		return nil, nil, err
	}
	smallest := dust(p.script, p.dustRate)
	baton := max(batonValue, smallest)
	outputs := append([]Output{{Script: p.script, Value: baton, Kind: KindBaton}}, mergePayees(d.Payees)...)
	needed, err := sum(d.Total, baton)
	if err != nil {
		return nil, nil, err
	}
	tx := wire.NewMsgTx(txVersion)
	for _, o := range outputs {
		tx.AddTxOut(wire.NewTxOut(int64(o.Value), o.Script))
	}
	var chosen []coin
	var have pool.Amount
	add := func(c coin) error {
		if err := p.unspent(ctx, &c); err != nil {
			return err
		}
		in := wire.NewTxIn(wire.NewOutPoint((*chainhash.Hash)(&c.TxID), c.Vout), nil, nil)
		in.Sequence = txSequence
		tx.AddTxIn(in)
		chosen = append(chosen, c)
		have, err = have.Add(c.Value)
		return err
	}
	if free.baton != nil {
		if !bytes.Equal(free.baton.script, p.script) {
			return nil, nil, fmt.Errorf("the baton %s belongs to %s, the reward address of before: the next payout must be made with it",
				free.baton.Outpoint, p.address(free.baton.script))
		}
		if err := add(*free.baton); err != nil {
			return nil, nil, fmt.Errorf("baton of payout %s: %w", free.baton.Batch, err)
		}
	}
	fee, vsize, err := p.fee(tx, rate)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range free.rest {
		if len(tx.TxIn) > 0 && have >= needed+fee {
			break
		}
		if !bytes.Equal(c.script, p.script) {
			continue // of an earlier reward address
		}
		if err := add(c); err != nil {
			return nil, nil, err
		}
		if fee, vsize, err = p.fee(tx, rate); err != nil {
			return nil, nil, err
		}
	}
	if len(tx.TxIn) == 0 || have < needed+fee {
		return nil, nil, fmt.Errorf("%w: payees %d + baton %d + network fee %d, and the coins are worth %d",
			ErrShort, d.Total, baton, fee, have)
	}

	change := wire.NewTxOut(0, p.script)
	tx.AddTxOut(change)
	withChange, vsizeWithChange, err := p.fee(tx, rate)
	if err != nil {
		return nil, nil, err
	}
	if rest := have - needed - withChange; rest >= smallest {
		change.Value = int64(rest)
		outputs = append(outputs, Output{Script: p.script, Value: rest, Kind: KindChange})
		fee, vsize = withChange, vsizeWithChange
	} else {
		tx.TxOut = tx.TxOut[:len(tx.TxOut)-1]
		outputs[0].Value += have - needed - fee
		tx.TxOut[0].Value = int64(outputs[0].Value)
	}
	if w := weightOf(tx, p.kind); w > maxTxWeight {
		return nil, nil, fmt.Errorf("%w: %d inputs and %d outputs weigh %d, nodes relay %d at most",
			ErrTooLarge, len(tx.TxIn), len(tx.TxOut), w, maxTxWeight)
	}
	d.Inputs, d.Outputs = nil, outputs
	for _, c := range chosen {
		d.Inputs = append(d.Inputs, c.Input)
	}
	d.FeeRate, d.Fee, d.VSize = rate, fee, vsize
	vouts := map[string]uint32{}
	for vout, o := range outputs {
		if o.Kind == KindPayee {
			vouts[string(o.Script)] = uint32(vout)
		}
	}
	for i := range d.Payees {
		vout := vouts[string(d.Payees[i].Script)]
		d.Payees[i].Vout = &vout
	}
	return chosen, tx, nil
}

// fee is what tx costs at rate with its largest witnesses, and its virtual size.
func (p *Payouts) fee(tx *wire.MsgTx, rate pool.Amount) (pool.Amount, int64, error) {
	return feeFor(weightOf(tx, p.kind), rate)
}

// checkPin compares the baton that configuration names with the ledger's first one.
func (p *Payouts) checkPin() error {
	if p.pin == nil {
		return nil
	}
	for _, b := range p.fold.batches {
		if first, _, ok := b.Baton(); ok && b.booked() {
			if first != *p.pin {
				return fmt.Errorf("%w: configuration says %s, the ledger %s", ErrBaton, p.pin, first)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: configuration says %s, but this ledger has made no payout: restore the ledger that has", ErrBaton, p.pin)
}

// mergePayees makes one output a script, sorted by script.
func mergePayees(payees []Payee) []Output {
	sorted := slices.Clone(payees)
	slices.SortStableFunc(sorted, func(a, b Payee) int { return bytes.Compare(a.Script, b.Script) })
	var out []Output
	for _, q := range sorted {
		if n := len(out); n > 0 && bytes.Equal(out[n-1].Script, q.Script) {
			out[n-1].Value += q.Amount // within Total, which was checked
			continue
		}
		out = append(out, Output{Script: q.Script, Value: q.Amount, Kind: KindPayee})
	}
	return out
}

// packet makes the PSBT (BIP 174): every input with its full previous transaction and its output.
func (p *Payouts) packet(ctx context.Context, tx *wire.MsgTx, chosen []coin) (*psbt.Packet, error) {
	pkt, err := psbt.NewFromUnsignedTx(tx)
	if err != nil {
		return nil, fmt.Errorf("make psbt: %w", err)
	}
	for i := range chosen {
		prev, err := p.previous(ctx, &chosen[i])
		if err != nil {
			return nil, err
		}
		in := &pkt.Inputs[i]
		in.NonWitnessUtxo = prev
		in.WitnessUtxo = prev.TxOut[chosen[i].Vout]
		if p.kind == p2wpkh {
			in.SighashType = txscript.SigHashAll
		}
	}
	return pkt, nil
}
