package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// errStale reports a template that is built on a block which is no longer the tip: no lie, only late.
var errStale = errors.New("the chain has moved on")

// work fetches a template and puts it to the cheap truth. longpollID as in Template.
func (c *Client) work(ctx context.Context, longpollID string) (*pool.Template, error) {
	t, err := c.Template(ctx, longpollID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	return t, c.check(ctx, t)
}

// check is the cheap truth before miners see a template: its parent is the node's tip by one header that
// proves its own work, and height, bits and value agree with it. It costs one small call and no look
// into transactions. Failures wrap [ErrTemplate] or errStale, or are the call's.
func (c *Client) check(ctx context.Context, t *pool.Template) error {
	c.mu.Lock()
	parent := c.tip
	c.mu.Unlock()
	if parent.id != t.PrevHash {
		var err error
		if parent, err = c.header(ctx, t.PrevHash); err != nil {
			if errors.Is(err, pool.ErrNoBlock) || hasCode(err, codeInternal) {
				return fmt.Errorf("%w: it builds on %s, which is not in the node's active chain", ErrTemplate, t.PrevHash)
			}
			return fmt.Errorf("header of the template's parent: %w", err)
		}
		if parent.confirmations != 1 {
			return fmt.Errorf("%w: template on %s, which has %d confirmations", errStale, t.PrevHash, parent.confirmations)
		}
		c.mu.Lock()
		c.tip = parent
		c.mu.Unlock()
	}
	if err := checkAgainst(t, parent, c.chain); err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return nil
}

// checkAgainst compares a template with the header of its parent and with the coin's rules.
func checkAgainst(t *pool.Template, parent header, chain pool.Chain) error {
	if t.Height != parent.height+1 {
		return fmt.Errorf("height %d on a parent of height %d", t.Height, parent.height)
	}
	target, err := pool.TargetFromBits(t.Bits)
	if err != nil {
		return err
	}
	if chain.Params().Mainnet { // test networks may fall to the least difficulty
		was, err := pool.TargetFromBits(parent.bits)
		if err != nil {
			return err
		}
		// No retarget of this family goes beyond a factor of four.
		if hard, easy := was.Work().Float64(), target.Work().Float64(); easy < hard/4.01 || easy > hard*4.01 {
			return fmt.Errorf("bits %08x after %08x", t.Bits, parent.bits)
		}
	}
	allowed := chain.Subsidy(t.Height)
	ids := make(map[pool.Hash]struct{}, len(t.Txs))
	for i := range t.Txs {
		tx := &t.Txs[i]
		if tx.Fee < 0 {
			return fmt.Errorf("transaction %s has fee %d", tx.ID, tx.Fee)
		}
		if allowed, err = allowed.Add(tx.Fee); err != nil {
			return fmt.Errorf("sum of fees: %w", err)
		}
		if _, twice := ids[tx.ID]; twice {
			return fmt.Errorf("transaction %s stands there twice", tx.ID)
		}
		ids[tx.ID] = struct{}{}
	}
	// Fees inside an extension block are in coinbasevalue and in no list.
	if t.CoinbaseValue > allowed && t.Extension == nil {
		return fmt.Errorf("coinbasevalue %d, subsidy and fees are %d", t.CoinbaseValue, allowed)
	}
	return nil
}
