package view

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"golang.org/x/sync/errgroup"
)

const (
	maxAccounts  = 2048   // remembered a pool
	maxHistories = 1024   // remembered a pool
	maxAddresses = 50_000 // remembered a pool

	unknownAddress = 2 * time.Second // how long an account counts as unknown to the ledger
)

type accountKey = pool.AccountID

// Account is what one account has and does, as read at one moment. It is not changed after it was made.
type Account struct {
	At                                  time.Time
	Err                                 error // why it is not newer
	View                                pool.AccountView
	Immature, Available, InPayout, Paid pool.Amount
	Score, Total                        pool.Work // of the present window
	Terms                               payout.Terms
}

// Account reads one account. It fails only when the account was never read.
func (p *Pool) Account(id pool.AccountID) (*Account, error) {
	a, at, err := p.accounts.get(id, func(ctx context.Context) (*Account, error) {
		a := new(Account)
		store := p.Info.Store
		var doc payout.PayeeDoc
		g, ctx := errgroup.WithContext(ctx) // one after the other they would wait for the store four times
		g.Go(func() (err error) {
			a.View, err = store.AccountView(ctx, id)
			return err
		})
		g.Go(func() (err error) {
			a.Immature, a.Available, a.InPayout, a.Paid, err = store.Balances(ctx, id)
			return err
		})
		g.Go(func() (err error) {
			a.Score, a.Total, err = store.WindowShare(ctx, id)
			return err
		})
		g.Go(func() error {
			body, err := store.Doc(ctx, payout.SetPayees, id.String())
			if errors.Is(err, p.board.opts.NoDoc) {
				return nil
			}
			if err == nil {
				err = json.Unmarshal(body, &doc)
			}
			return err
		})
		err := g.Wait()
		a.Terms = doc.Terms
		return a, err
	})
	if at.IsZero() {
		return nil, fmt.Errorf("read account %s: %w", id, err)
	}
	copied := *a
	copied.At, copied.Err = at, err
	return &copied, nil
}

// Threshold is the least amount that the account is paid, of the pool whose own is given.
func (a *Account) Threshold(own pool.Amount) pool.Amount { return max(own, a.Terms.Threshold) }

// addressBook remembers the addresses of accounts. An account's address never changes; that the ledger
// has none is asked again after a while.
type addressBook struct {
	mu    sync.Mutex
	known map[pool.AccountID]addressEntry // guarded by mu
}

type addressEntry struct {
	address string
	until   time.Time // zero: for ever
}

// Address is the usual spelling of an account's address, "" when the ledger has none.
func (p *Pool) Address(id pool.AccountID) (string, error) {
	b, now := &p.addresses, p.board.now()
	b.mu.Lock()
	e, ok := b.known[id]
	b.mu.Unlock()
	if ok && (e.until.IsZero() || now.Before(e.until)) {
		return e.address, nil
	}
	var doc ledger.AccountDoc
	err := p.doc(ledger.SetAccounts, id.String(), &doc)
	e = addressEntry{address: doc.Address}
	if errors.Is(err, ErrNoDoc) { // not credited yet: it may get one later
		e.until, err = now.Add(unknownAddress), nil
	}
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) >= maxAddresses {
		b.known = make(map[pool.AccountID]addressEntry)
	}
	b.known[id] = e
	return e.address, nil
}

// Addresses looks up many addresses, a few at a time; "" where the owner does not show the account.
func (p *Pool) Addresses(ids []pool.AccountID) ([]string, error) {
	out := make([]string, len(ids))
	var g errgroup.Group
	g.SetLimit(storeCalls / 4)
	for i, id := range ids {
		if p.Shown(id) != ledger.ShowAll {
			continue
		}
		g.Go(func() (err error) {
			out[i], err = p.Address(id)
			return err
		})
	}
	return out, g.Wait()
}
