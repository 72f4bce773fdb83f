package view

import (
	"context"
	"slices"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// historyKey names one kept series.
type historyKey struct {
	step    time.Duration
	account pool.AccountID // zero: of the pool
	worker  string
	whole   bool // of the account, not of a worker
}

// PoolHistory is the pool's history in one of [PoolSteps].
func (p *Pool) PoolHistory(step Step) ([]pool.HistoryPoint, error) {
	return p.history(historyKey{step: step.Every}, func(ctx context.Context) ([]pool.HistoryPoint, error) {
		return p.Info.Store.PoolHistory(ctx, step.Every)
	})
}

// AccountHistory is an account's history in one of [AccountSteps].
func (p *Pool) AccountHistory(id pool.AccountID, step Step) ([]pool.HistoryPoint, error) {
	return p.history(historyKey{step: step.Every, account: id, whole: true}, func(ctx context.Context) ([]pool.HistoryPoint, error) {
		return p.Info.Store.AccountHistory(ctx, id, step.Every)
	})
}

// WorkerHistory is a worker's history in the one step there is.
func (p *Pool) WorkerHistory(id pool.AccountID, worker string) ([]pool.HistoryPoint, error) {
	return p.history(historyKey{account: id, worker: worker}, func(ctx context.Context) ([]pool.HistoryPoint, error) {
		return p.Info.Store.WorkerHistory(ctx, id, worker)
	})
}

func (p *Pool) history(key historyKey, read func(context.Context) ([]pool.HistoryPoint, error)) ([]pool.HistoryPoint, error) {
	points, at, err := p.histories.get(key, read)
	if at.IsZero() {
		return nil, err
	}
	return points, nil
}

// Leaders are the accounts that stand out.
type Leaders struct {
	Rates, Shares []pool.Leader
}

// shownLeaders is how many of each kind.
const shownLeaders = 25

// Leaders reads the accounts with the highest hashrates and the best shares. Those whose owners do not show that
// stand there without their address.
func (p *Pool) Leaders() (*Leaders, error) {
	l, at, err := p.leaders.get(struct{}{}, func(ctx context.Context) (*Leaders, error) {
		rates, shares, err := p.Info.Store.Leaders(ctx, shownLeaders)
		return &Leaders{rates, shares}, err
	})
	if at.IsZero() {
		return nil, err
	}
	out := &Leaders{Rates: slices.Clone(l.Rates), Shares: slices.Clone(l.Shares)}
	for i := range out.Rates {
		if x := &out.Rates[i]; p.Shown(x.Account) == ledger.ShowNone {
			x.Account, x.Address = pool.AccountID{}, ""
		}
	}
	for i := range out.Shares {
		if x := &out.Shares[i]; p.Shown(x.Account) != ledger.ShowAll {
			x.Account, x.Address = pool.AccountID{}, ""
		}
	}
	return out, nil
}
