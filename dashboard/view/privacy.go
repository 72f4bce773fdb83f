package view

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// What of an account somebody may see is decided here and nowhere else: Open when somebody asks for an account,
// and Shown for accounts that appear among others.

// ErrHidden reports an account whose owner shows nothing of it without its key.
var ErrHidden = errors.New("the owner of this address shows it only to who has its link")

// errUnread reports that nobody can tell yet what may be shown.
var errUnread = errors.New("the store was not read yet")

const (
	privacyPage  = 100
	maxPrivacies = 1_000_000
)

// privacies are the owners' orders, by account. It is not changed after it was made.
type privacies struct {
	newest int64 // time of the newest order that was read
	by     map[pool.AccountID]*ledger.PrivacyDoc
}

// readPrivacy takes in what is newer than last. Documents are never deleted, so what was read once stays.
func (p *Pool) readPrivacy(last *privacies) (*privacies, error) {
	next := last
	for cursor := ""; ; {
		var docs []json.RawMessage
		err := p.call(func(ctx context.Context) (err error) {
			docs, cursor, _, err = p.Info.Store.Docs(ctx, ledger.SetPrivacy, cursor, privacyPage)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read who sees which account: %w", err)
		}
		for _, body := range docs { // newest first
			doc := new(ledger.PrivacyDoc)
			if err := json.Unmarshal(body, doc); err != nil {
				return nil, fmt.Errorf("read who sees which account: %w", err)
			}
			if last != nil && doc.Time < last.newest {
				return next, nil
			}
			if next == last {
				next = &privacies{newest: doc.Time, by: make(map[pool.AccountID]*ledger.PrivacyDoc)}
				if last != nil {
					maps.Copy(next.by, last.by)
				}
			}
			if len(next.by) >= maxPrivacies {
				return nil, errors.New("there are more orders about who sees which account than this server reads")
			}
			if was := next.by[doc.Account]; was == nil || was.Counter <= doc.Counter {
				next.by[doc.Account] = doc
			}
			next.newest = max(next.newest, doc.Time)
		}
		if cursor == "" {
			if next == nil {
				next = new(privacies)
			}
			return next, nil
		}
	}
}

// Shown is what everybody may see of an account.
func (p *Pool) Shown(id pool.AccountID) ledger.Shown {
	snap := p.Snapshot()
	if snap.private == nil { // nothing was read yet, and nothing is shown
		return ledger.ShowNone
	}
	if doc := snap.private.by[id]; doc != nil && doc.Show.Known() {
		return doc.Show
	} else if doc != nil {
		return ledger.ShowNone
	}
	return ledger.ShowAll
}

// Open says what of an account somebody with some keys may see: [ledger.ShowAll] or [ledger.ShowRates], or
// ErrHidden.
func (p *Pool) Open(id pool.AccountID, keys []string) (ledger.Shown, error) {
	snap := p.Snapshot()
	if snap.private == nil {
		return "", errors.Join(errUnread, snap.Err)
	}
	shown := p.Shown(id)
	if shown == ledger.ShowAll {
		return shown, nil
	}
	for _, key := range keys {
		if snap.private.by[id].Opens(key) {
			return ledger.ShowAll, nil
		}
	}
	if shown == ledger.ShowRates {
		return shown, nil
	}
	return "", ErrHidden
}

// Rates is what is left of an account whose owner shows its hashrates alone.
func (a *Account) Rates() *Account {
	return &Account{At: a.At, Err: a.Err, View: pool.AccountView{Account: a.View.Account, Address: a.View.Address, Hashrate: a.View.Hashrate, FiveMinutes: a.View.FiveMinutes}}
}

// RatesOf are the hashrates of a history alone.
func RatesOf(points []pool.HistoryPoint) []pool.HistoryPoint {
	out := make([]pool.HistoryPoint, len(points))
	for i, h := range points {
		out[i] = pool.HistoryPoint{Time: h.Time, Hashrate: h.Hashrate}
	}
	return out
}

// Finder is the account that found a block, and its worker; nil and "" where its owner does not show it.
func (p *Pool) Finder(d *ledger.BlockDoc) (id *pool.AccountID, worker string) {
	if d.Finder == nil || p.Shown(*d.Finder) != ledger.ShowAll {
		return nil, ""
	}
	return d.Finder, d.Worker
}
