package payout

import (
	"bytes"
	"context"
	"fmt"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Receipts is what was sent to the pool's scripts and is not explained yet.
const Receipts ledger.Account = "assets:receipts"

// How the chain is compared: not its newest blocks, which settlement may not have taken in, and after a
// reorganisation some way back.
const (
	scanLag  = 6
	scanBack = 200
	scanKeep = 100 // blocks between two marks in the ledger
)

// scanner knows what a block may have to do with the pool.
type scanner struct {
	scripts  map[string]bool
	coins    map[build.Outpoint]string // every output that ever was the pool's, with what it is
	versions map[pool.Hash]string      // every transaction of a payout, with the payout
	found    []Difference
	receipts []ReceiptDoc
}

// scan compares the chain's blocks with the ledger, from where the last comparison ended: each coinbase to the
// pool's scripts has a block record, each transaction that spends the pool's coins is a payout's, and what else
// comes in is booked to suspense. full begins anew.
func (p *Payouts) scan(ctx context.Context, full bool, r *Reconciliation) error {
	tip, err := p.node.Tip(ctx)
	if err != nil {
		return fmt.Errorf("ask the node for its tip: %w", err)
	}
	begin, ok, err := p.scanFrom(ctx, full)
	if err != nil || !ok {
		return err
	}
	end := tip.Height - scanLag
	s := p.scanner()
	var last pool.Hash
	r.ScanFirst, r.ScanLast = begin, max(end, begin-1)
	for h := begin; h <= end; h++ {
		p.at("reconcile: block %d of %d", h, end)
		if last, err = p.node.BlockHash(ctx, h); err != nil {
			return fmt.Errorf("ask the node for block %d: %w", h, err)
		}
		raw, err := p.node.RawBlock(ctx, last)
		if err != nil {
			return fmt.Errorf("read block %s: %w", last, err)
		}
		if len(raw) < headerSize || p.chain.BlockID((*[headerSize]byte)(raw)) != last {
			return fmt.Errorf("%w: the node sent another block for %s", ErrMismatch, last)
		}
		txs, err := readBlock(raw)
		if err != nil {
			return fmt.Errorf("read block %s: %w", last, err)
		}
		s.block(&p.fold, h, last, txs)
	}
	r.Unequal = append(r.Unequal, s.found...)
	for i := range s.receipts {
		if err := p.receive(&s.receipts[i], r); err != nil {
			return err
		}
	}
	if err := p.orphanedReceipts(ctx, tip.Height); err != nil {
		return err
	}
	if len(s.found) > 0 || end < begin {
		return nil
	}
	mark := ScanDoc{V: settingsVersion, First: begin, Height: end, Hash: last}
	if old := p.fold.scan; old != nil && !full {
		mark.First = old.First
	}
	p.scanned = &mark
	if old := p.fold.scan; old == nil && end-begin >= scanKeep || old != nil && end-old.Height >= scanKeep {
		return p.postSetting(SetScan, SetScan, "payout.scan", 0, mark)
	}
	return nil
}

// scanFrom is the height to begin at; ok is false when the ledger has nothing to compare.
func (p *Payouts) scanFrom(ctx context.Context, full bool) (begin int64, ok bool, err error) {
	first := int64(-1)
	for _, b := range p.fold.blocks {
		if first < 0 || b.Height < first {
			first = b.Height
		}
	}
	if first < 0 {
		return 0, false, nil
	}
	mark := p.fold.scan
	if p.scanned != nil && (mark == nil || p.scanned.Height > mark.Height) {
		mark = p.scanned
	}
	if mark == nil || full {
		return first, true, nil
	}
	first = min(first, mark.First)
	active, err := p.active(ctx, &mark.Hash, mark.Height)
	if err != nil {
		return 0, false, err
	}
	if active {
		return mark.Height + 1, true, nil
	}
	return max(first, mark.Height-scanBack), true, nil
}

func (p *Payouts) scanner() *scanner {
	s := &scanner{scripts: map[string]bool{string(p.script): true}, coins: map[build.Outpoint]string{}, versions: map[pool.Hash]string{}}
	for _, x := range p.sources {
		s.scripts[string(x.Script)] = true
	}
	for _, b := range p.fold.blocks {
		if b.Coinbase == nil {
			continue
		}
		for _, o := range b.Coinbase.Outputs {
			s.coins[build.Outpoint{TxID: b.Coinbase.TxID, Vout: o.Index}] = fmt.Sprintf("coinbase of block %d, %d", b.Height, o.Value)
		}
	}
	for _, r := range p.fold.receipts {
		if p.fold.standing(r.Coin) == CoinTaken {
			s.coins[r.Coin] = fmt.Sprintf("receipt of block %d, %d", r.Height, r.Value)
		}
	}
	for _, d := range p.fold.batches {
		for _, v := range d.versions() {
			s.versions[*v.TxID] = d.ID
			for i, o := range v.Outputs {
				if o.Kind != build.KindPayee {
					s.coins[build.Outpoint{TxID: *v.TxID, Vout: uint32(i)}] = fmt.Sprintf("%s of payout %s, %d", o.Kind, d.ID, o.Value)
				}
			}
		}
	}
	return s
}

// block compares one block.
func (s *scanner) block(f *fold, height int64, hash pool.Hash, txs []blockTx) {
	for i := range txs {
		tx := &txs[i]
		if i == 0 {
			s.coinbase(f, height, hash, tx)
			continue
		}
		ours := ""
		for _, in := range tx.inputs {
			if what, ok := s.coins[in]; ok {
				ours = fmt.Sprintf("%s (%s)", in, what)
				if s.versions[tx.txid()] == "" && f.standing(in) != CoinLost {
					s.found = append(s.found, Difference{What: fmt.Sprintf("transaction %s in block %d spends %s and is no payout of this ledger", tx.txid(), height, ours)})
				}
			}
		}
		for vout, o := range tx.outputs {
			if !s.scripts[string(o.script)] || s.versions[tx.txid()] != "" || o.value == 0 {
				continue
			}
			point := build.Outpoint{TxID: tx.txid(), Vout: uint32(vout)}
			if ours == "" && f.receipts[point] == nil {
				s.receipts = append(s.receipts, ReceiptDoc{V: settingsVersion, Coin: point, Value: o.value, Script: bytes.Clone(o.script), Block: hash, Height: height})
			}
		}
	}
}

func (s *scanner) coinbase(f *fold, height int64, hash pool.Hash, tx *blockTx) {
	var paid, others pool.Amount
	for _, o := range tx.outputs {
		if s.scripts[string(o.script)] {
			paid += o.value
		} else {
			others += o.value
		}
	}
	doc := f.blocks[hash]
	switch {
	case doc == nil && paid > 0:
		s.found = append(s.found, Difference{What: fmt.Sprintf("the coinbase of block %d (%s, transaction %s) pays the pool %d and the ledger has no record of the block", height, hash, tx.txid(), paid), Amount: paid})
	case doc != nil && doc.Coinbase != nil && doc.Coinbase.TxID != tx.txid():
		s.found = append(s.found, Difference{What: fmt.Sprintf("block %d has the coinbase %s, the ledger says %s", height, tx.txid(), doc.Coinbase.TxID), Amount: paid - doc.Value})
	case doc != nil && doc.Coinbase != nil:
		var recorded pool.Amount
		for _, o := range doc.Coinbase.Outputs {
			if int(o.Index) >= len(tx.outputs) || tx.outputs[o.Index].value != o.Value || !bytes.Equal(tx.outputs[o.Index].script, o.Script) {
				s.found = append(s.found, Difference{What: fmt.Sprintf("output %d of coinbase %s of block %d is not what the ledger says", o.Index, tx.txid(), height), Amount: o.Value})
			}
			recorded += o.Value
		}
		if doc.Window != nil && doc.Direct != others {
			s.found = append(s.found, Difference{What: fmt.Sprintf("the coinbase %s of block %d pays accounts %d, the ledger says %d", tx.txid(), height, others, doc.Direct), Amount: others - doc.Direct})
		}
		if doc.Value != recorded {
			s.found = append(s.found, Difference{What: fmt.Sprintf("block %d (%s) is worth %d in the ledger, its outputs %d", height, hash, doc.Value, recorded), Amount: doc.Value - recorded})
		}
	}
}

// receive books an unknown receipt to suspense and warns of it.
func (p *Payouts) receive(doc *ReceiptDoc, r *Reconciliation) error {
	r.Warnings = append(r.Warnings, Difference{
		What: fmt.Sprintf("coin %s in block %d was sent to the pool by somebody: it is booked to %s and not spent", doc.Coin, doc.Height, ledger.SuspenseUnknown), Amount: doc.Value,
	})
	p.log.Warn().Str("pool", p.pool).Stringer("coin", doc.Coin).Int64("amount", int64(doc.Value)).Msg("unknown receipt")
	return p.postSetting(SetReceipts, doc.Coin.String(), "receipt.unknown", doc.Height, doc,
		ledger.Posting{Debit: Receipts, Credit: ledger.SuspenseUnknown, Amount: doc.Value})
}

// orphanedReceipts takes back what was booked from blocks that are not in the chain any more.
func (p *Payouts) orphanedReceipts(ctx context.Context, tip int64) error {
	for _, doc := range p.fold.receipts {
		if doc.Gone || p.fold.standing(doc.Coin) != "" || tip-doc.Height > p.finalDepth+scanBack {
			continue
		}
		if active, err := p.active(ctx, &doc.Block, doc.Height); err != nil || active {
			if err != nil {
				return err
			}
			continue
		}
		gone := *doc
		gone.Gone, gone.Step = true, doc.Step+1
		if err := p.postSetting(SetReceipts, doc.Coin.String(), "receipt.gone", doc.Height, gone,
			ledger.Posting{Debit: ledger.SuspenseUnknown, Credit: Receipts, Amount: doc.Value}); err != nil {
			return err
		}
	}
	return nil
}
