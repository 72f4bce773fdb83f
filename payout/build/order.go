package build

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// Transaction form: version 2, no locktime, and a sequence number that lets a later fee bump replace it
// (BIP 125).
const (
	txVersion  = 2
	txSequence = wire.MaxTxInSequenceNum - 2
)

// Pay is what one account is to get.
type Pay struct {
	Script []byte
	Amount pool.Amount
}

// Order is all that a transaction is decided from.
type Order struct {
	Must  []Coin // spent in any case, in this order
	Coins []Coin // to choose from, oldest first
	Fixed []Output
	Pays  []Pay // those of one script share an output

	Home     []byte      // script of change
	DustRate pool.Amount // base units per 1000 bytes
	Rate     pool.Amount // base units per 1000 virtual bytes
	// FeeOf replaces Rate: the fee of a transaction of a weight.
	FeeOf func(weight int64) (fee pool.Amount, vsize int64, err error)
	Bear  bool // payees bear the fee pro rata, but are left what nodes relay
	Sweep int  // spend the oldest coins, and up to so many more than are needed
	Own   bool // refuse to build without an output to Home or a fixed one
}

// Tx is a transaction as decided.
type Tx struct {
	Coins   []Coin
	Outputs []Output
	Vouts   []uint32      // of each Pay
	Borne   []pool.Amount // fee that each Pay bears
	Fee     pool.Amount   // inputs less outputs
	VSize   int64         // at the largest signature size
}

// Make decides the transaction of an order.
func Make(o Order) (*Tx, error) {
	if o.FeeOf == nil {
		o.FeeOf = func(weight int64) (pool.Amount, int64, error) { return Fee(weight, o.Rate) }
	}
	m := &maker{Order: o}
	for _, p := range o.Pays {
		var err error
		if m.gross, err = m.gross.Add(p.Amount); err != nil {
			return nil, err
		}
	}
	for _, f := range o.Fixed {
		var err error
		if m.fixed, err = m.fixed.Add(f.Value); err != nil {
			return nil, err
		}
	}
	m.merge()
	return m.make()
}

type maker struct {
	Order
	gross, fixed pool.Amount
	merged       []Output // of Pays, values not set
	place        []int    // of each Pay in merged
	stripped     int64    // bytes of all outputs but change
	coins        []Coin
	have         pool.Amount
	witness      int64
}

// merge makes one output a script, sorted by script.
func (m *maker) merge() {
	order := make([]int, len(m.Pays))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return bytes.Compare(m.Pays[a].Script, m.Pays[b].Script) })
	m.place = make([]int, len(m.Pays))
	for _, i := range order {
		if n := len(m.merged); n == 0 || !bytes.Equal(m.merged[n-1].Script, m.Pays[i].Script) {
			m.merged = append(m.merged, Output{Script: Hex(m.Pays[i].Script), Kind: KindPayee})
			m.stripped += OutputSize(m.Pays[i].Script)
		}
		m.place[i] = len(m.merged) - 1
	}
	for _, f := range m.Fixed {
		m.stripped += OutputSize(f.Script)
	}
}

// weight is that of the transaction with what was chosen so far.
func (m *maker) weight(change bool) int64 {
	outputs, size := len(m.Fixed)+len(m.merged), m.stripped
	if change {
		outputs, size = outputs+1, size+OutputSize(m.Home)
	}
	const inputSize, marker = 32 + 4 + 1 + 4, 2
	base := int64(4+4) + int64(wire.VarIntSerializeSize(uint64(len(m.coins)))) + int64(len(m.coins))*inputSize +
		int64(wire.VarIntSerializeSize(uint64(outputs))) + size
	return base*witnessScale + marker + m.witness
}

func (m *maker) add(c Coin) (err error) {
	m.coins = append(m.coins, c)
	m.witness += c.Witness
	m.have, err = m.have.Add(c.Value)
	return err
}

// cost is what the inputs must bring: fixed outputs, all that is owed to payees (of which they bear their part of
// the fee), and the rest of the fee.
func (m *maker) cost(change bool) (need, fee pool.Amount, vsize int64, borne []pool.Amount, err error) {
	if fee, vsize, err = m.FeeOf(m.weight(change)); err != nil {
		return 0, 0, 0, nil, err
	}
	own := fee
	if m.Bear && len(m.Pays) > 0 {
		if borne, err = m.bear(fee); err != nil {
			return 0, 0, 0, nil, err
		}
		for _, b := range borne {
			own -= b
		}
	}
	if need, err = m.gross.Add(m.fixed); err == nil {
		need, err = need.Add(own)
	}
	return need, fee, vsize, borne, err
}

// bear divides a fee over the payees. An output never falls below dust by it; the pool pays the rest.
func (m *maker) bear(fee pool.Amount) ([]pool.Amount, error) {
	amounts, room := make([]pool.Amount, len(m.Pays)), make([]pool.Amount, len(m.merged))
	for i, p := range m.Pays {
		amounts[i] = p.Amount
		room[m.place[i]] += p.Amount
	}
	for i := range room {
		room[i] = max(0, room[i]-Dust(m.merged[i].Script, m.DustRate))
	}
	borne, err := Share(fee, amounts)
	if err != nil {
		return nil, err
	}
	for i := range borne {
		borne[i] = min(borne[i], room[m.place[i]])
		room[m.place[i]] -= borne[i]
	}
	return borne, nil
}

func (m *maker) make() (*Tx, error) {
	for _, c := range m.Must {
		if err := m.add(c); err != nil {
			return nil, err
		}
	}
	smallest := Dust(m.Home, m.DustRate)
	need, fee, vsize, borne, err := m.cost(false)
	if err != nil {
		return nil, err
	}
	rest := slices.Clone(m.Coins)
	if m.Sweep == 0 { // fewest inputs
		slices.SortStableFunc(rest, func(a, b Coin) int { return -cmp.Compare(a.Value, b.Value) })
	}
	extra := m.Sweep
	for _, c := range rest {
		if len(m.coins) > 0 && m.have >= need {
			if extra == 0 || m.weight(true)+c.Witness+41*witnessScale > MaxWeight {
				break
			}
			extra--
		}
		if err := m.add(c); err != nil {
			return nil, err
		}
		if need, fee, vsize, borne, err = m.cost(false); err != nil {
			return nil, err
		}
	}
	if len(m.coins) == 0 || m.have < need {
		return nil, fmt.Errorf("%w: payees %d + other outputs %d + network fee %d, and the coins are worth %d", ErrShort, m.gross, m.fixed, fee, m.have)
	}
	outputs := slices.Concat(m.Fixed, m.merged)
	withNeed, withFee, withVSize, withBorne, err := m.cost(true)
	if err != nil {
		return nil, err
	}
	weight := m.weight(false)
	if change := m.have - withNeed; change >= smallest {
		fee, vsize, borne, weight = withFee, withVSize, withBorne, m.weight(true)
		outputs = append(outputs, Output{Script: Hex(m.Home), Value: change, Kind: KindChange})
	} else if spare := m.have - need; len(outputs) > 0 && outputs[0].Kind == KindBaton {
		outputs[0].Value += spare
	} else {
		fee += spare
	}
	if m.Own && (len(outputs) == 0 || outputs[0].Kind == KindPayee && outputs[len(outputs)-1].Kind != KindChange) {
		return nil, fmt.Errorf("%w: nothing is left for the pool's own output", ErrShort)
	}
	if weight > MaxWeight {
		return nil, fmt.Errorf("%w: %d inputs and %d outputs weigh %d, nodes relay %d at most", ErrTooLarge, len(m.coins), len(outputs), weight, MaxWeight)
	}
	t := &Tx{Coins: m.coins, Outputs: outputs, Fee: fee, VSize: vsize, Borne: borne, Vouts: make([]uint32, len(m.Pays))}
	for i, p := range m.Pays {
		t.Vouts[i] = uint32(len(m.Fixed) + m.place[i])
		t.Outputs[t.Vouts[i]].Value += p.Amount // within gross, which was checked
		if borne != nil {
			t.Outputs[t.Vouts[i]].Value -= borne[i]
		}
	}
	return t, nil
}

// Unsigned is the transaction without witnesses.
func (t *Tx) Unsigned() *wire.MsgTx { return Unsigned(t.Coins, t.Outputs) }

// Unsigned is the transaction of inputs and outputs, without witnesses.
func Unsigned(coins []Coin, outputs []Output) *wire.MsgTx {
	tx := wire.NewMsgTx(txVersion)
	for i := range coins {
		in := wire.NewTxIn(wire.NewOutPoint((*chainhash.Hash)(&coins[i].TxID), coins[i].Vout), nil, nil)
		in.Sequence = txSequence
		tx.AddTxIn(in)
	}
	for _, o := range outputs {
		tx.AddTxOut(wire.NewTxOut(int64(o.Value), o.Script))
	}
	return tx
}
