package payout

import (
	"context"
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// OrderPassword says that terms come from the password of an account's rigs.
const OrderPassword = "password"

// TakeLimits takes over the payout limits that rigs ask for and hold enough of the work to: each that is new becomes
// the account's threshold by an entry of the ledger. The pool's own threshold stays the least that is paid. Terms
// that the owner signed are left as they are. A limit that is not asked for any more goes on: rigs take it back by
// asking for another, 0 for the pool's.
func (p *Payouts) TakeLimits(ctx context.Context, limits []pool.PayoutLimit) error {
	for _, l := range limits {
		if err := p.takeLimit(l); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (p *Payouts) takeLimit(l pool.PayoutLimit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(); err != nil {
		return err
	}
	if p.fold.accounts[l.Account] == nil || l.Limit < 0 { // nothing is owed to it yet
		return nil
	}
	doc := p.fold.payee(l.Account)
	if doc.Terms.By != "" && doc.Terms.By != OrderPassword || doc.Terms.Threshold == l.Limit {
		return nil
	}
	doc.Terms.Threshold, doc.Terms.By, doc.Terms.Time = l.Limit, OrderPassword, p.now().UnixMilli()
	p.log.Info().Str("pool", p.pool).Stringer("account", l.Account).Int64("threshold", int64(l.Limit)).Msg("payout limit of rigs")
	if err := p.postSetting(SetPayees, l.Account.String(), "payee.terms", 0, doc); err != nil {
		return fmt.Errorf("take the payout limit of rigs: %w", err)
	}
	return nil
}
