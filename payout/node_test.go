package payout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
)

// simNode is a full node in memory that can be told to lie. It holds every transaction against the rules
// that matter here: inputs exist, are spent once, coinbases are mature, signatures verify.
type simNode struct {
	t        testing.TB
	maturity int64
	chain    []*wire.MsgBlock // by height
	mempool  []*wire.MsgTx
	nonce    uint32

	event    func(what string) // called before and after every call; may panic to crash the caller
	lie      func(what string) lie
	feeRate  pool.Amount // 0: no estimate
	received map[pool.Hash][]byte
	sends    int
}

// lie is how a call of the simulator misbehaves.
type lie int

const (
	honest lie = iota
	timeout
	acceptedTimeout // send: taken, but the caller hears a time-out
	lostSilently    // send: the caller hears success, the transaction is gone
)

var errSim = errors.New("simulated: i/o timeout")

func newSimNode(t testing.TB, maturity int64) *simNode {
	n := &simNode{t: t, maturity: maturity, received: map[pool.Hash][]byte{}}
	n.mine(nil, 0) // genesis
	return n
}

type simOut struct {
	out      *wire.TxOut
	height   int64 // -1: memory pool
	coinbase bool
}

// utxo is the set of unspent outputs, of the chain or with the memory pool on top.
func (n *simNode) utxo(mempool bool) map[wire.OutPoint]simOut {
	set := map[wire.OutPoint]simOut{}
	add := func(tx *wire.MsgTx, height int64, coinbase bool) {
		for _, in := range tx.TxIn {
			delete(set, in.PreviousOutPoint)
		}
		hash := tx.TxHash()
		for i, o := range tx.TxOut {
			set[wire.OutPoint{Hash: hash, Index: uint32(i)}] = simOut{o, height, coinbase}
		}
	}
	for h, b := range n.chain {
		for i, tx := range b.Transactions {
			add(tx, int64(h), i == 0)
		}
	}
	if mempool {
		for _, tx := range n.mempool {
			add(tx, -1, false)
		}
	}
	return set
}

// mine adds a block with the memory pool in it and a coinbase that pays value to script.
func (n *simNode) mine(script []byte, value pool.Amount) (hash pool.Hash, coinbase *wire.MsgTx) {
	n.nonce++
	coinbase = wire.NewMsgTx(2)
	in := wire.NewTxIn(&wire.OutPoint{Index: 0xffffffff}, []byte(fmt.Sprintf("block %d", n.nonce)), wire.TxWitness{make([]byte, 32)})
	coinbase.AddTxIn(in)
	if value > 0 {
		coinbase.AddTxOut(wire.NewTxOut(int64(value), script))
	}
	coinbase.AddTxOut(wire.NewTxOut(0, []byte{txscript.OP_RETURN, 1, 2}))
	b := &wire.MsgBlock{Header: wire.BlockHeader{Version: 4, Nonce: n.nonce}}
	if len(n.chain) > 0 {
		b.Header.PrevBlock = n.chain[len(n.chain)-1].BlockHash()
	}
	b.Transactions = append([]*wire.MsgTx{coinbase}, n.mempool...)
	n.mempool = nil
	n.chain = append(n.chain, b)
	return pool.Hash(b.BlockHash()), coinbase
}

func (n *simNode) height() int64 { return int64(len(n.chain)) - 1 }

// reorg drops the newest blocks; their transactions go back to the memory pool, or are forgotten. One
// block more than was dropped is mined, with or without them.
func (n *simNode) reorg(depth int, forget, remine bool) {
	depth = min(depth, len(n.chain)-1)
	var back []*wire.MsgTx
	for _, b := range n.chain[len(n.chain)-depth:] {
		back = append(back, b.Transactions[1:]...)
	}
	n.chain = n.chain[:len(n.chain)-depth]
	kept := append(back, n.mempool...)
	n.mempool = nil
	if remine && !forget {
		n.mempool = kept
	}
	for range depth + 1 {
		n.mine(nil, 0)
	}
	if !remine && !forget {
		n.mempool = kept
	}
}

// accept checks and takes a transaction into the memory pool.
func (n *simNode) accept(tx *wire.MsgTx) error {
	hash := tx.TxHash()
	for _, b := range n.chain {
		for _, known := range b.Transactions {
			if known.TxHash() == hash {
				return errors.New("-27: transaction already in block chain")
			}
		}
	}
	for _, known := range n.mempool {
		if known.TxHash() == hash {
			return errors.New("-27: already have transaction")
		}
	}
	evicted := n.conflicting(tx)
	before := n.mempool
	n.mempool = slices.DeleteFunc(slices.Clone(before), func(m *wire.MsgTx) bool { return slices.Contains(evicted, m) })
	err := n.acceptOn(tx, before, evicted)
	if err != nil {
		n.mempool = before
	}
	return err
}

// conflicting returns the transactions of the memory pool that spend what tx spends, and what descends of them.
func (n *simNode) conflicting(tx *wire.MsgTx) []*wire.MsgTx {
	var out []*wire.MsgTx
	spends := map[wire.OutPoint]bool{}
	for _, in := range tx.TxIn {
		spends[in.PreviousOutPoint] = true
	}
	for _, m := range n.mempool {
		if !slices.ContainsFunc(m.TxIn, func(in *wire.TxIn) bool { return spends[in.PreviousOutPoint] }) {
			continue
		}
		out = append(out, m)
		hash := m.TxHash()
		for i := range m.TxOut {
			spends[wire.OutPoint{Hash: hash, Index: uint32(i)}] = true
		}
	}
	return out
}

// feeOf is what a transaction pays, with the outputs of the chain and of some others.
func (n *simNode) feeOf(tx *wire.MsgTx, others []*wire.MsgTx) int64 {
	kept := n.mempool
	n.mempool = others
	defer func() { n.mempool = kept }()
	made := map[wire.OutPoint]int64{}
	for _, b := range n.chain {
		for _, t := range b.Transactions {
			for i, o := range t.TxOut {
				made[wire.OutPoint{Hash: t.TxHash(), Index: uint32(i)}] = o.Value
			}
		}
	}
	for _, t := range others {
		for i, o := range t.TxOut {
			made[wire.OutPoint{Hash: t.TxHash(), Index: uint32(i)}] = o.Value
		}
	}
	fee := int64(0)
	for _, in := range tx.TxIn {
		fee += made[in.PreviousOutPoint]
	}
	for _, o := range tx.TxOut {
		fee -= o.Value
	}
	return fee
}

func (n *simNode) acceptOn(tx *wire.MsgTx, before, evicted []*wire.MsgTx) error {
	set := n.utxo(true)
	fetch := txscript.NewMultiPrevOutFetcher(nil)
	var in, out int64
	for _, i := range tx.TxIn {
		o, ok := set[i.PreviousOutPoint]
		if !ok {
			return errors.New("-25: bad-txns-inputs-missingorspent")
		}
		if o.coinbase && n.height()-o.height+1 < n.maturity {
			return errors.New("-26: bad-txns-premature-spend-of-coinbase")
		}
		fetch.AddPrevOut(i.PreviousOutPoint, o.out)
		in += o.out.Value
	}
	hashes := txscript.NewTxSigHashes(tx, fetch)
	for i := range tx.TxIn {
		prev := fetch.FetchPrevOutput(tx.TxIn[i].PreviousOutPoint)
		e, err := txscript.NewEngine(prev.PkScript, tx, i, txscript.StandardVerifyFlags, nil, hashes, prev.Value, fetch)
		if err == nil {
			err = e.Execute()
		}
		if err != nil {
			return fmt.Errorf("-26: mandatory-script-verify-flag-failed: %w", err)
		}
	}
	for _, o := range tx.TxOut {
		out += o.Value
		if pool.Amount(o.Value) < build.Dust(o.PkScript, 3000) {
			return errors.New("-26: dust")
		}
	}
	vsize := int64(tx.SerializeSizeStripped()*3+tx.SerializeSize()+3) / 4
	if in-out < vsize {
		return fmt.Errorf("-26: min relay fee not met: %d for %d vB", in-out, vsize)
	}
	theirs := int64(0)
	for _, m := range evicted {
		theirs += n.feeOf(m, before)
	}
	if len(evicted) > 0 && in-out < theirs+vsize {
		return fmt.Errorf("-26: insufficient fee, rejecting replacement: %d, the others pay %d", in-out, theirs)
	}
	n.mempool = append(n.mempool, tx)
	return nil
}

// call wraps one RPC: events around it, and the lie of the moment.
func (n *simNode) call(what string, act func() error) error {
	if n.event != nil {
		n.event("before " + what)
		defer n.event("after " + what)
	}
	if n.lie != nil && n.lie(what) == timeout {
		return errSim
	}
	return act()
}

func (n *simNode) Tip(context.Context) (tip pool.Tip, err error) {
	err = n.call("tip", func() error {
		tip = pool.Tip{Hash: pool.Hash(n.chain[n.height()].BlockHash()), Height: n.height()}
		return nil
	})
	return tip, err
}

func (n *simNode) BlockHash(_ context.Context, height int64) (hash pool.Hash, err error) {
	err = n.call("blockhash", func() error {
		if height < 0 || height > n.height() {
			return pool.ErrNoBlock
		}
		hash = pool.Hash(n.chain[height].BlockHash())
		return nil
	})
	return hash, err
}

func (n *simNode) RawBlock(_ context.Context, id pool.Hash) (raw []byte, err error) {
	err = n.call("rawblock", func() error {
		for _, b := range n.chain {
			if pool.Hash(b.BlockHash()) == id {
				var buf bytes.Buffer
				if err := b.Serialize(&buf); err != nil {
					return err
				}
				raw = buf.Bytes()
				return nil
			}
		}
		return pool.ErrNoBlock
	})
	return raw, err
}

func (n *simNode) TxOut(_ context.Context, txid pool.Hash, vout uint32, mempool bool) (out *TxOut, err error) {
	err = n.call("txout", func() error {
		o, ok := n.utxo(mempool)[wire.OutPoint{Hash: chainhash.Hash(txid), Index: vout}]
		if !ok {
			return nil
		}
		out = &TxOut{Value: pool.Amount(o.out.Value), Script: o.out.PkScript, Coinbase: o.coinbase}
		if o.height >= 0 {
			out.Confirmations = n.height() - o.height + 1
		}
		return nil
	})
	return out, err
}

func (n *simNode) Spent(_ context.Context, txid pool.Hash, vout uint32) (spent bool, err error) {
	err = n.call("spent", func() error {
		for _, tx := range n.mempool {
			for _, in := range tx.TxIn {
				spent = spent || in.PreviousOutPoint == wire.OutPoint{Hash: chainhash.Hash(txid), Index: vout}
			}
		}
		return nil
	})
	return spent, err
}

func (n *simNode) SendRawTransaction(_ context.Context, raw []byte) error {
	return n.call("send", func() error {
		n.sends++
		tx := new(wire.MsgTx)
		if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
			return fmt.Errorf("-22: TX decode failed: %w", err)
		}
		id := pool.Hash(tx.TxHash())
		if before, ok := n.received[id]; ok && !bytes.Equal(before, raw) {
			n.t.Errorf("transaction %s was sent with other bytes", id)
		}
		n.received[id] = bytes.Clone(raw)
		how := honest
		if n.lie != nil {
			how = n.lie("sending")
		}
		if how == lostSilently {
			return nil
		}
		err := n.accept(tx)
		if how == acceptedTimeout {
			return errSim
		}
		return err
	})
}

func (n *simNode) EstimateFee(context.Context, int) (rate pool.Amount, err error) {
	err = n.call("estimate", func() error {
		if n.feeRate == 0 {
			return errors.New("insufficient data or no feerate found")
		}
		rate = n.feeRate
		return nil
	})
	return rate, err
}

// onChain returns the transactions of the active chain without coinbases, by id.
func (n *simNode) onChain() map[pool.Hash]*wire.MsgTx {
	set := map[pool.Hash]*wire.MsgTx{}
	for _, b := range n.chain {
		for _, tx := range b.Transactions[1:] {
			set[pool.Hash(tx.TxHash())] = tx
		}
	}
	return set
}

// paidTo adds up what the chain's transactions, coinbases apart, pay to a script.
func (n *simNode) paidTo(script []byte, but map[pool.Hash]bool) pool.Amount {
	var total pool.Amount
	for txid, tx := range n.onChain() {
		if but[txid] {
			continue
		}
		for _, o := range tx.TxOut {
			if bytes.Equal(o.PkScript, script) {
				total += pool.Amount(o.Value)
			}
		}
	}
	return total
}
