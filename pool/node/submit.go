package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/node/rpc"
)

const codeDecode = -22 // both families: the block cannot be parsed

// SubmitBlock hands a block over and reads it back before it believes the answer: only a block found in
// the active chain is accepted, whatever the node said, and a time-out rejects nothing. err says why the
// result is unknown; with any other result it is nil. reason is the node's own word, "" for null.
func (c *Client) SubmitBlock(ctx context.Context, id pool.Hash, block []byte) (pool.SubmitResult, string, error) {
	var word *string
	said, reason := wordNothing, ""
	err := c.submit.Call(ctx, "submitblock", &word, hex.EncodeToString(block))
	var refusal *rpc.Error
	switch {
	case err == nil:
		said, reason = readSubmit(word)
	case errors.As(err, &refusal):
		reason = refusal.Message
		if refusal.Code == codeDecode {
			said = wordInvalid
		}
	}

	info, backErr := c.BlockInfo(ctx, id)
	switch {
	case backErr == nil && info.Confirmations > 0:
		active, hashErr := c.BlockHash(ctx, info.Height)
		if hashErr == nil && active == id {
			return pool.SubmitAccepted, reason, nil
		}
		backErr = fmt.Errorf("the node counts %d confirmations, but names %s at its height: %w", info.Confirmations, active, hashErr)
	case said == wordInvalid:
		return pool.SubmitRejected, reason, nil
	case backErr == nil && said == wordDuplicate && c.isInvalidTip(ctx, id):
		return pool.SubmitRejected, reason, nil
	case backErr == nil:
		return pool.SubmitSideChain, reason, nil
	}
	if err == nil {
		err = fmt.Errorf("submit block %s: node %s says %q and the read-back gives: %w", id, c.name, reason, backErr)
	}
	return pool.SubmitUnknown, reason, err
}

// isInvalidTip asks whether the node has marked the block invalid; no answer is no.
func (c *Client) isInvalidTip(ctx context.Context, id pool.Hash) bool {
	var tips []struct {
		Hash   pool.Hash `json:"hash"`
		Status string    `json:"status"`
	}
	if err := c.calls.Call(ctx, "getchaintips", &tips); err != nil {
		return false
	}
	for _, t := range tips {
		if t.Hash == id {
			return t.Status == "invalid"
		}
	}
	return false
}
