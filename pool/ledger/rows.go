package ledger

import (
	"bytes"
	"encoding/json"

	"github.com/adit-pool/adit/pool"
)

// CreditRow is what one block gave one account.
type CreditRow struct {
	Block  *BlockDoc // its state as it is now; without Credits, Scores and PaidByCoinbase
	Amount pool.Amount
	Score  pool.Work // the account's in the window; Block.Score is that of all; zero where the book has none
	FeePPM uint32    // the rate that Amount is without
	Entry  Head      // that credited it
}

// PayoutRow is what one payout has for one account.
type PayoutRow struct {
	Payout json.RawMessage // its document as it is now
	Amount pool.Amount
	Entry  Head // that took the amount from what is available
}

// ScoresOf are the scores of the accounts in credits. Both lists are sorted by account.
func ScoresOf(credits []pool.Credit, weights []pool.Weight) []pool.Work {
	out := make([]pool.Work, len(credits))
	for i := range credits {
		for len(weights) > 0 && bytes.Compare(weights[0].Account[:], credits[i].Account[:]) < 0 {
			weights = weights[1:]
		}
		if len(weights) > 0 && weights[0].Account == credits[i].Account {
			out[i] = weights[0].Score
		}
	}
	return out
}

// FeeOf is the fee rate of an account in this block, in parts per million.
func (doc *BlockDoc) FeeOf(id pool.AccountID) uint32 {
	for _, f := range doc.AccountFees {
		if f.Account == id {
			return f.PPM
		}
	}
	return doc.FeePPM
}

// IsCredit reports whether the posting is a block's credit to a miner, and to whom.
func (p *Posting) IsCredit() (pool.AccountID, bool) {
	if p.Debit != CoinbaseImmature {
		return pool.AccountID{}, false
	}
	id, side, ok := p.Credit.Miner()
	return id, ok && side == Immature
}

// IsPayout reports whether the posting takes what is available to a miner into a payout, and to whom.
func (p *Posting) IsPayout() (pool.AccountID, bool) {
	id, side, ok := p.Debit.Miner()
	if !ok || side != Available {
		return pool.AccountID{}, false
	}
	to, side, ok := p.Credit.Miner()
	return id, ok && side == InPayout && to == id
}
