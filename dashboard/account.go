package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
)

const (
	maxAccounts  = 2048   // remembered a pool
	maxAddresses = 50_000 // remembered a pool

	unknownAddress = 2 * time.Second // how long an account counts as unknown to the ledger
)

// account is what one account has and does, as read at one moment.
type account struct {
	at                                  time.Time
	err                                 error // why it is not newer
	View                                pool.AccountView
	Immature, Available, InPayout, Paid pool.Amount
	score, total                        pool.Work // of the present window
}

// accountCache remembers accounts for a second, and for as long as the store is away.
type accountCache struct {
	flight singleflight.Group
	mu     sync.Mutex
	known  map[pool.AccountID]*account // guarded by mu
}

// account reads one account. It fails only when the account was never read.
func (p *poolState) account(ctx context.Context, id pool.AccountID) (*account, error) {
	c := &p.accounts
	c.mu.Lock()
	last := c.known[id]
	c.mu.Unlock()
	now := p.server.now()
	if last != nil && now.Sub(last.at) < fresh {
		return last, nil
	}
	v, err, _ := c.flight.Do(id.String(), func() (any, error) {
		a := &account{at: now}
		err := p.call(ctx, func(ctx context.Context) (err error) {
			store := p.info.Store
			if a.View, err = store.AccountView(ctx, id); err != nil {
				return err
			}
			if a.Immature, a.Available, a.InPayout, a.Paid, err = store.Balances(ctx, id); err != nil {
				return err
			}
			a.score, a.total, err = store.WindowShare(ctx, id)
			return err
		})
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.known == nil || len(c.known) >= maxAccounts {
			c.known = make(map[pool.AccountID]*account)
		}
		c.known[id] = a
		return a, nil
	})
	switch {
	case err == nil:
		return v.(*account), nil
	case last != nil:
		stale := *last
		stale.err = err
		return &stale, nil
	}
	return nil, fmt.Errorf("read account %s: %w", id, err)
}

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

// address is the usual spelling of an account's address, "" when the ledger has none.
func (p *poolState) address(ctx context.Context, id pool.AccountID) (string, error) {
	b, now := &p.addresses, p.server.now()
	b.mu.Lock()
	e, ok := b.known[id]
	b.mu.Unlock()
	if ok && (e.until.IsZero() || now.Before(e.until)) {
		return e.address, nil
	}
	var doc ledger.AccountDoc
	err := p.doc(ctx, ledger.SetAccounts, id.String(), &doc)
	e = addressEntry{address: doc.Address}
	if errors.Is(err, errNoDoc) { // not credited yet: it may get one later
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

// addressesOf looks up many addresses, a few at a time.
func (p *poolState) addressesOf(ctx context.Context, ids []pool.AccountID) ([]string, error) {
	out := make([]string, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(storeCalls / 4)
	for i, id := range ids {
		g.Go(func() (err error) {
			out[i], err = p.address(ctx, id)
			return err
		})
	}
	return out, g.Wait()
}

// errNoDoc reports a document that is not there.
var errNoDoc = errors.New("no such document")

// doc reads one document into v, or returns errNoDoc.
func (p *poolState) doc(ctx context.Context, set, id string, v any) error {
	return p.call(ctx, func(ctx context.Context) error {
		body, err := p.info.Store.Doc(ctx, set, id)
		if want := p.server.opts.NoDoc; err != nil && want != nil && errors.Is(err, want) {
			return errNoDoc
		}
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, v); err != nil {
			return fmt.Errorf("read document %s/%.80q: %w", set, id, err)
		}
		return nil
	})
}
