package payout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil/psbt"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// Export returns the PSBTs of a built run, in the order of its batches, for signers elsewhere. That they left is
// booked first: from then on only the chain can undo the run.
func (p *Payouts) Export(ctx context.Context, id string) ([][]byte, *BatchDoc, error) {
	var packets [][]byte
	d, err := p.step(ctx, id, StateBuilt, func(_ context.Context, docs []*BatchDoc) error {
		if err := p.guard(docs); err != nil {
			return err
		}
		for i, d := range docs {
			if d.State != StateBuilt {
				continue
			}
			if !d.Exported {
				c := d.clone()
				c.Exported = true
				var err error
				if docs[i], err = p.post(c, StateBuilt, "exported", nil); err != nil {
					return err
				}
			}
			packets = append(packets, docs[i].PSBT)
		}
		return nil
	})
	if err == nil && len(packets) == 0 {
		err = fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, d.State, StateBuilt)
	}
	return packets, d, err
}

// Import takes a PSBT that came back, for whichever batch of a run it is. Signatures of a multisig address are
// kept until there are enough; what is changed or signed otherwise is refused. The error is [ErrIncomplete]
// while signatures are missing.
func (p *Payouts) Import(ctx context.Context, id string, packet []byte) (*BatchDoc, error) {
	answer, err := sign.Parse(packet)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSigner, err)
	}
	txid := pool.Hash(answer.UnsignedTx.TxHash())
	p.mu.Lock()
	defer p.mu.Unlock()
	d, err := p.find(id)
	if err != nil {
		return nil, err
	}
	docs := p.fold.runOf(d)
	i := slices.IndexFunc(docs, func(d *BatchDoc) bool { return d.TxID != nil && *d.TxID == txid })
	if i < 0 {
		return d, fmt.Errorf("%w: it makes transaction %s, which is none of payout %s: its unsigned part was changed, or it is of another payout", ErrSigner, txid, d.ID)
	}
	if d = docs[i]; d.State != StateBuilt {
		if d.loose() && len(d.Raw) > 0 {
			return d, nil // signed already
		}
		return d, fmt.Errorf("%w: %s is %s, not %s", ErrState, d.ID, d.State, StateBuilt)
	}
	raw, merged, err := p.finish(d, answer)
	switch {
	case err == nil:
		err = p.signed(d, raw)
	case errors.Is(err, ErrIncomplete) && !bytes.Equal(merged, d.PSBT):
		c := d.clone()
		c.PSBT = merged
		if _, posted := p.post(c, StateBuilt, "a signature came in", nil); posted != nil {
			return d, posted
		}
	}
	return p.fold.byID[d.ID], err
}

// finish makes the signed transaction of a signer's answer.
func (p *Payouts) finish(d *BatchDoc, answer *psbt.Packet) (raw, merged []byte, err error) {
	spent, err := p.spentBy(d)
	if err != nil {
		return nil, nil, err
	}
	asked, err := sign.Parse(d.PSBT)
	if err != nil {
		return nil, nil, err
	}
	if txid := pool.Hash(asked.UnsignedTx.TxHash()); d.TxID == nil || txid != *d.TxID {
		return nil, nil, fmt.Errorf("the stored psbt makes transaction %s, the ledger says %v", txid, d.TxID)
	}
	return sign.Finish(d.PSBT, spent, answer)
}

// signed stores the signed bytes of a batch.
func (p *Payouts) signed(d *BatchDoc, raw []byte) error {
	c := d.clone()
	c.Raw, c.PSBT = raw, nil
	_, err := p.post(c, StateSigned, "", nil)
	return err
}
