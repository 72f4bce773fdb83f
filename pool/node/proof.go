package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
)

// verify is the dear truth, beside the miners' work: every transaction has the id it is listed under,
// the witness commitment is theirs, and the node itself finds a block made of the template valid.
// Failures wrap [ErrTemplate], or are the call's.
func (c *Client) verify(ctx context.Context, t *pool.Template) error {
	if err := verifyTxs(t); err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return c.propose(ctx, t)
}

// verifyTxs decodes every transaction and recomputes ids and commitment.
func verifyTxs(t *pool.Template) error {
	witness := false
	leaves := make([]pool.Hash, 0, len(t.Txs))
	var raw []byte
	for i := range t.Txs {
		tx := &t.Txs[i]
		if t.Extension != nil && i == len(t.Txs)-1 {
			// Litecoin's integration transaction has a form of its own; both its ids are one.
			leaves = append(leaves, tx.ID)
			continue
		}
		var err error
		if raw, err = hex.AppendDecode(raw[:0], tx.Data); err != nil {
			return fmt.Errorf("transaction %s: %w", tx.ID, err)
		}
		var msg wire.MsgTx
		r := bytes.NewReader(raw)
		if err := msg.Deserialize(r); err != nil {
			return fmt.Errorf("transaction %s: %w", tx.ID, err)
		}
		if r.Len() != 0 {
			return fmt.Errorf("transaction %s has %d bytes behind its end", tx.ID, r.Len())
		}
		if got := pool.Hash(msg.TxHash()); got != tx.ID {
			return fmt.Errorf("transaction %s is listed as %s", got, tx.ID)
		}
		witness = witness || msg.HasWitness()
		leaves = append(leaves, pool.Hash(msg.WitnessHash()))
	}
	if t.WitnessCommitment == nil {
		if witness {
			return fmt.Errorf("transactions have witnesses, and there is no commitment to them")
		}
		return nil
	}
	// The coinbase's own leaf and its reserved value are zeros (BIP141).
	root := pool.MerkleRoot(pool.Hash{}, pool.MerkleBranch(leaves))
	if want := pool.DoubleSHA256(append(root[:], make([]byte, 32)...)); !bytes.Equal(t.WitnessCommitment[6:], want[:]) {
		return fmt.Errorf("witness commitment %x, computed is %x", t.WitnessCommitment[6:], want)
	}
	return nil
}

// propose asks the node to judge a block of the template with a coinbase of ours, proof of work left out
// (BIP23).
func (c *Client) propose(ctx context.Context, t *pool.Template) error {
	spec := &pool.CoinbaseSpec{
		ExtranonceSize: pool.ExtranonceSize,
		Outputs:        []pool.Output{{Script: []byte{0x51}, Value: t.CoinbaseValue}},
	}
	prefix, suffix, err := c.chain.Coinbase(t, spec)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	coinbase := append(append(prefix, make([]byte, spec.ExtranonceSize)...), suffix...)
	ids := make([]pool.Hash, len(t.Txs))
	for i := range t.Txs {
		ids[i] = t.Txs[i].ID
	}
	root := pool.MerkleRoot(pool.DoubleSHA256(coinbase), pool.MerkleBranch(ids))
	var head [80]byte
	pool.PutHeader(&head, t.Version, t.PrevHash, root, t.CurTime, t.Bits, 0)
	block, err := c.chain.Block(nil, t, &head, coinbase)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	var word *string
	err = c.calls.Call(ctx, "getblocktemplate", &word, map[string]any{
		"mode": "proposal", "rules": c.params.TemplateRules, "data": hex.EncodeToString(block),
	})
	if err != nil {
		return fmt.Errorf("propose a block: %w", err)
	}
	if word == nil || *word == "" {
		return nil
	}
	switch {
	case *word == "bad-prevblk", strings.HasPrefix(*word, "inconclusive"), strings.HasPrefix(*word, "stale"),
		*word == "duplicate", *word == "time-too-new":
		return fmt.Errorf("%w: the node answers a proposal with %q", errStale, *word)
	}
	return fmt.Errorf("%w: the node itself finds a block made of it invalid: %.80q", ErrTemplate, *word)
}
