package ledger

import (
	"fmt"
	"slices"

	"github.com/adit-pool/adit/pool"
)

// balances is the fold of all postings.
type balances map[Account]pool.Amount

// changes returns the new balance of every account that e touches. It refuses an overflow, and an entry
// that leaves a guarded account below zero and lower than before without naming it in Overdraft.
func (b balances) changes(e *Entry) (balances, error) {
	if len(e.Postings) == 0 {
		return nil, nil
	}
	after := make(balances, min(2*len(e.Postings), len(e.Postings)+8))
	move := func(account Account, amount pool.Amount) error {
		now, seen := after[account]
		if !seen {
			now = b[account]
		}
		now, err := now.Add(amount)
		if err != nil {
			return fmt.Errorf("account %s: %w", account, err)
		}
		after[account] = now
		return nil
	}
	for _, p := range e.Postings {
		debit, credit := p.Amount, p.Amount
		if !p.Debit.DebitNormal() {
			debit = -debit
		}
		if p.Credit.DebitNormal() {
			credit = -credit
		}
		if err := move(p.Debit, debit); err != nil {
			return nil, err
		}
		if err := move(p.Credit, credit); err != nil {
			return nil, err
		}
	}
	for account, now := range after {
		if now < 0 && now < b[account] && account.guarded() && !slices.Contains(e.Overdraft, account) {
			return nil, fmt.Errorf("account %s from %d to %d: %w", account, b[account], now, ErrOverdraft)
		}
	}
	return after, nil
}
