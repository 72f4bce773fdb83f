package payout

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// sweepMost is how many coins beyond the needed ones a payout takes in when fees are low.
const sweepMost = 100

// feeRate asks the node what a transaction costs now, in base units per kvB.
func (p *Payouts) feeRate(ctx context.Context) (pool.Amount, error) {
	rate, err := p.node.EstimateFee(ctx, p.feeTarget)
	if err != nil || rate <= 0 {
		p.log.Debug().Err(err).Int64("rate", int64(p.feeFallback)).Msg("no fee estimate, configured rate used")
		rate = p.feeFallback
	}
	rate = max(rate, build.MinFeeRate)
	if rate > p.feeCeiling {
		return 0, fmt.Errorf("%w: %d per kvB now, ceiling %d", ErrFeeRate, rate, p.feeCeiling)
	}
	return rate, nil
}

// source is what a coin of a script is signed with.
func (p *Payouts) source(script []byte) (sign.Source, bool) {
	for _, s := range p.sources {
		if bytes.Equal(s.Script, script) {
			return s, true
		}
	}
	return sign.Source{}, false
}

// order starts an order with what the pool can spend: the baton, when it is to be spent, and the free coins
// whose scripts it can sign for.
func (p *Payouts) order(rate pool.Amount, baton bool) (build.Order, error) {
	o := build.Order{Home: p.script, DustRate: p.dustRate, Rate: rate, Own: true}
	if p.unspendable != nil {
		return o, p.unspendable
	}
	free, err := p.fold.coins(true)
	if err != nil {
		return o, err
	}
	for _, c := range free.rest {
		if s, ok := p.source(c.Script); ok {
			c.Witness = s.Size
			o.Coins = append(o.Coins, c)
		}
	}
	if rate <= p.sweepBelow {
		o.Sweep = sweepMost
	}
	if baton && free.baton != nil {
		s, ok := p.source(free.baton.Script)
		if !ok {
			return o, fmt.Errorf("the baton %s belongs to %s, a reward address of before: name its key in earlier_key_files",
				free.baton.Outpoint, p.address(free.baton.Script))
		}
		free.baton.Witness = s.Size
		o.Must = []build.Coin{*free.baton}
	}
	return o, nil
}

// batonOutput is the baton for the next payout.
func (p *Payouts) batonOutput() build.Output {
	return build.Output{Script: p.script, Value: max(batonValue, build.Dust(p.script, p.dustRate)), Kind: build.KindBaton}
}

// planRun fills the inputs, outputs and fees of a run from the free coins, each checked unspent on the node. It
// returns the transactions.
func (p *Payouts) planRun(ctx context.Context, docs []*BatchDoc) ([]*build.Tx, error) {
	rate, err := p.feeRate(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.checkPin(); err != nil {
		return nil, err
	}
	o, err := p.order(rate, true)
	if err != nil {
		return nil, err
	}
	o.Fixed = []build.Output{p.batonOutput()}
	var first *build.Tx
	if docs[0].Kind == KindFan {
		parts := make([][]build.Pay, 0, len(docs)-1)
		for _, d := range docs[1:] {
			parts = append(parts, paysOf(d))
		}
		first, err = build.Fan(o, parts, p.sources[0].Size)
	} else {
		o.Pays, o.Bear = paysOf(docs[0]), docs[0].FeeFrom == FeeFromPayees
		first, err = build.Make(o)
	}
	if err != nil {
		return nil, err
	}
	for _, c := range first.Coins {
		if err := p.unspent(ctx, &c); err != nil {
			return nil, err
		}
	}
	take(docs[0], first, rate)
	txs := []*build.Tx{first}
	for _, d := range docs[1:] {
		t, err := p.planPart(docs[0], d, rate)
		if err != nil {
			return nil, err
		}
		txs = append(txs, t)
	}
	return txs, nil
}

// planPart decides the transaction of one part of a run, which spends its own output of the fan.
func (p *Payouts) planPart(fan, d *BatchDoc, rate pool.Amount) (*build.Tx, error) {
	txid := pool.Hash(build.Unsigned(coinsOf(fan.Inputs), fan.Outputs).TxHash())
	parts := slices.IndexFunc(fan.Outputs, func(o build.Output) bool { return o.Kind == build.KindPart })
	vout := parts + d.Part - 1
	if parts < 0 || vout >= len(fan.Outputs) || fan.Outputs[vout].Kind != build.KindPart {
		return nil, fmt.Errorf("the fan %s has no output for part %d", fan.ID, d.Part)
	}
	s, ok := p.source(fan.Outputs[vout].Script)
	if !ok {
		return nil, fmt.Errorf("part %d of run %s belongs to %s, which there is no key for", d.Part, d.Run, p.address(fan.Outputs[vout].Script))
	}
	coin := build.Coin{Witness: s.Size, Input: build.Input{
		Outpoint: build.Outpoint{TxID: txid, Vout: uint32(vout)}, Value: fan.Outputs[vout].Value, Script: fan.Outputs[vout].Script,
		Kind: build.KindPart, Batch: fan.ID,
	}}
	t, err := build.Make(build.Order{
		Must: []build.Coin{coin}, Pays: paysOf(d), Home: p.script, DustRate: p.dustRate, Rate: rate,
		Bear: d.FeeFrom == FeeFromPayees, Own: true,
	})
	if err != nil {
		return nil, fmt.Errorf("part %d: %w", d.Part, err)
	}
	take(d, t, rate)
	return t, nil
}

func paysOf(d *BatchDoc) []build.Pay {
	pays := make([]build.Pay, len(d.Payees))
	for i, q := range d.Payees {
		pays[i] = build.Pay{Script: q.Script, Amount: q.Amount}
	}
	return pays
}

func coinsOf(inputs []build.Input) []build.Coin {
	coins := make([]build.Coin, len(inputs))
	for i, in := range inputs {
		coins[i].Input = in
	}
	return coins
}

// take puts a decided transaction into a document.
func take(d *BatchDoc, t *build.Tx, rate pool.Amount) {
	d.Version = Version{Outputs: t.Outputs, FeeRate: rate, Fee: t.Fee, VSize: t.VSize}
	for _, c := range t.Coins {
		d.Inputs = append(d.Inputs, c.Input)
	}
	for i := range d.Payees {
		d.Payees[i].Vout = &t.Vouts[i]
		if t.Borne != nil {
			d.Payees[i].Fee = t.Borne[i]
		}
	}
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

// packet makes the PSBT of a document's transaction and notes its id.
func (p *Payouts) packet(ctx context.Context, d *BatchDoc) error {
	tx := build.Unsigned(coinsOf(d.Inputs), d.Outputs)
	var previous []*wire.MsgTx
	spent, err := p.spentBy(d)
	if err != nil {
		return err
	}
	for i := range d.Inputs {
		prev, err := p.previous(ctx, &d.Inputs[i])
		if err != nil {
			return err
		}
		previous = append(previous, prev)
	}
	if d.PSBT, err = sign.Packet(tx, previous, spent); err != nil {
		return err
	}
	txid := pool.Hash(tx.TxHash())
	d.TxID = &txid
	return nil
}

// spentBy lists the outputs that a document's transaction spends.
func (p *Payouts) spentBy(d *BatchDoc) ([]sign.Spent, error) {
	spent := make([]sign.Spent, len(d.Inputs))
	for i, in := range d.Inputs {
		script := []byte(in.Script)
		if script == nil { // format 1
			script = p.script
		}
		s, ok := p.source(script)
		if !ok {
			return nil, fmt.Errorf("input %s belongs to %s, which there is no key for", in.Outpoint, p.address(script))
		}
		spent[i] = sign.Spent{Value: int64(in.Value), Source: s}
	}
	return spent, nil
}
