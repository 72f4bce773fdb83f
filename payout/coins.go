package payout

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// coins are the pool's coins as the ledger has them: what booked batches made and what mature blocks
// paid, less what booked batches spent.
type coins struct {
	baton *build.Coin  // nil before the first payout
	rest  []build.Coin // change first, then coinbases, then receipts that were taken in, oldest first
}

// coins folds batches and blocks. With free set, what an open batch has locked is left out.
func (f *fold) coins(free bool) (coins, error) {
	var c coins
	spent := map[build.Outpoint]bool{}
	for _, b := range f.batches {
		if b.booked() || free && b.open() {
			for _, in := range b.Inputs {
				spent[in.Outpoint] = true
			}
		}
		if free && b.open() {
			for _, v := range b.Earlier {
				for _, in := range v.Inputs {
					spent[in.Outpoint] = true
				}
			}
		}
	}
	for _, b := range f.batches {
		if !b.booked() {
			continue
		}
		for i, o := range b.Outputs {
			k := build.Coin{Input: build.Input{Outpoint: build.Outpoint{TxID: *b.TxID, Vout: uint32(i)}, Value: o.Value, Kind: o.Kind, Script: o.Script, Batch: b.ID}}
			switch {
			case o.Kind == build.KindPayee || spent[k.Outpoint] || f.standing(k.Outpoint) == CoinLost:
			case o.Kind == build.KindChange, o.Kind == build.KindPart:
				c.rest = append(c.rest, k)
			case c.baton != nil:
				return c, fmt.Errorf("the ledger has two batons, %s and %s: its payouts are not one chain", c.baton.Outpoint, k.Outpoint)
			default:
				c.baton = &k
			}
		}
	}
	mature := make([]*ledger.BlockDoc, 0, len(f.blocks))
	for _, doc := range f.blocks {
		if doc.State == ledger.BlockMature {
			mature = append(mature, doc)
		}
	}
	slices.SortFunc(mature, func(a, b *ledger.BlockDoc) int {
		return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	for _, doc := range mature {
		if doc.Coinbase == nil {
			return c, fmt.Errorf("block %s is mature in the ledger, but its outputs were not recorded", doc.Hash)
		}
		for _, o := range doc.Coinbase.Outputs {
			k := build.Coin{Input: build.Input{
				Outpoint: build.Outpoint{TxID: doc.Coinbase.TxID, Vout: o.Index}, Value: o.Value, Kind: build.KindCoinbase,
				Script: build.Hex(o.Script), Block: &doc.Hash, Height: doc.Height,
			}}
			if !spent[k.Outpoint] && f.standing(k.Outpoint) != CoinLost {
				c.rest = append(c.rest, k)
			}
		}
	}
	var taken []build.Coin
	for _, r := range f.receipts {
		if f.standing(r.Coin) == CoinTaken && !spent[r.Coin] {
			taken = append(taken, build.Coin{Input: build.Input{
				Outpoint: r.Coin, Value: r.Value, Kind: build.KindReceipt, Script: r.Script, Block: &r.Block, Height: r.Height,
			}})
		}
	}
	slices.SortFunc(taken, func(a, b build.Coin) int {
		return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(a.TxID[:], b.TxID[:]), cmp.Compare(a.Vout, b.Vout))
	})
	c.rest = append(c.rest, taken...)
	return c, nil
}

// unspent checks with the node that a coin is there to be spent.
func (p *Payouts) unspent(ctx context.Context, c *build.Coin) error {
	out, err := p.node.TxOut(ctx, c.TxID, c.Vout, true)
	switch {
	case err != nil:
		return fmt.Errorf("ask the node for coin %s: %w", c.Outpoint, err)
	case out == nil:
		return fmt.Errorf("%w: %s %s of %d", ErrCoinGone, c.Kind, c.Outpoint, c.Value)
	case out.Value != c.Value || !bytes.Equal(out.Script, c.Script):
		return fmt.Errorf("%w: coin %s is %d to script %x in the ledger, %d to script %x on the node", ErrMismatch, c.Outpoint, c.Value, c.Script, out.Value, out.Script)
	case out.Coinbase && out.Confirmations < p.chain.Params().Maturity:
		return fmt.Errorf("%w: %s has %d confirmations on the node, mature at %d", ErrImmature, c.Outpoint, out.Confirmations, p.chain.Params().Maturity)
	}
	return nil
}

// previous returns the transaction that made a coin, without witness: from its block or from the batch
// that stored it.
func (p *Payouts) previous(ctx context.Context, c *build.Input) (*wire.MsgTx, error) {
	var tx *wire.MsgTx
	var err error
	if c.Block != nil {
		var raw []byte
		if raw, err = p.node.RawBlock(ctx, *c.Block); err == nil {
			tx, err = findTx(p.chain, *c.Block, raw, c.TxID)
		}
		if err != nil {
			return nil, fmt.Errorf("read block %s for a transaction: %w", c.Block, err)
		}
	} else {
		b, err := p.fold.find(c.Batch)
		if err != nil {
			return nil, err
		}
		for _, v := range b.versions() {
			if *v.TxID == c.TxID {
				tx = build.Unsigned(coinsOf(v.Inputs), v.Outputs)
			}
		}
		if tx == nil {
			return nil, fmt.Errorf("%w: payout %s has no transaction %s", ErrMismatch, b.ID, c.TxID)
		}
	}
	if got := pool.Hash(tx.TxHash()); got != c.TxID || uint64(c.Vout) >= uint64(len(tx.TxOut)) {
		return nil, fmt.Errorf("%w: coin %s was not made by transaction %s with %d outputs", ErrMismatch, c.Outpoint, got, len(tx.TxOut))
	}
	if o := tx.TxOut[c.Vout]; pool.Amount(o.Value) != c.Value || c.Script != nil && !bytes.Equal(o.PkScript, c.Script) {
		return nil, fmt.Errorf("%w: coin %s is %d in the ledger, %d in its transaction", ErrMismatch, c.Outpoint, c.Value, o.Value)
	}
	return tx, nil
}

// findTx reads a transaction of a block that a node sent, without its witness, and checks that the block is the one
// asked for. A coinbase is the first one.
func findTx(chain pool.Chain, id pool.Hash, block []byte, txid pool.Hash) (*wire.MsgTx, error) {
	if len(block) <= headerSize {
		return nil, fmt.Errorf("%d bytes are no block", len(block))
	}
	if got := chain.BlockID((*[headerSize]byte)(block)); got != id {
		return nil, fmt.Errorf("the node sent block %s", got)
	}
	r := bytes.NewReader(block[headerSize:])
	n, err := wire.ReadVarInt(r, 0)
	if err != nil {
		return nil, fmt.Errorf("read transaction count: %w", err)
	}
	for range n {
		tx, err := readTx(r)
		if err != nil {
			return nil, err
		}
		if pool.Hash(tx.TxHash()) == txid {
			return tx, nil
		}
	}
	return nil, fmt.Errorf("no transaction %s in it", txid)
}

// parseTx reads exactly one transaction and drops its witness.
func parseTx(raw []byte) (*wire.MsgTx, error) {
	r := bytes.NewReader(raw)
	tx, err := readTx(r)
	if err == nil && r.Len() != 0 {
		err = fmt.Errorf("%d bytes after the transaction", r.Len())
	}
	return tx, err
}

func readTx(r *bytes.Reader) (*wire.MsgTx, error) {
	tx := new(wire.MsgTx)
	if err := tx.Deserialize(r); err != nil {
		return nil, fmt.Errorf("read transaction: %w", err)
	}
	for _, in := range tx.TxIn {
		in.Witness = nil
	}
	return tx, nil
}
