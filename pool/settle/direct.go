package settle

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// parentOf reads the block that a serialised block builds on.
func parentOf(raw []byte) (id pool.Hash) {
	if len(raw) >= 36 {
		copy(id[:], raw[4:36])
	}
	return id
}

// listFor gives the payees by script of all lists for blocks on top of a parent; nil when there were none.
func (s *Settler) listFor(parent pool.Hash) (map[string][]ledger.CoinbasePayee, error) {
	var all map[string][]ledger.CoinbasePayee
	for n := 0; ; n++ {
		e, ok, err := s.o.Book.Find(ledger.PayeesKey(parent, n))
		if err != nil || !ok {
			return all, err
		}
		var doc ledger.PayeesDoc
		if err := json.Unmarshal(e.Body, &doc); err != nil {
			return nil, fmt.Errorf("read ledger entry %d: %w", e.Seq, err)
		}
		if all == nil {
			all = make(map[string][]ledger.CoinbasePayee)
		}
		for _, p := range doc.Payees {
			all[string(p.Script)] = append(all[string(p.Script)], p)
		}
	}
}

// direct fills in what the coinbase of a block with a shared window pays to accounts. What the chain says counts,
// whether a list named it or not: an account that is paid more than it is owed is below zero after it.
func (s *Settler) direct(doc *ledger.BlockDoc, coinbase *pool.CoinbaseTx, parent pool.Hash) error {
	if len(doc.PaidByCoinbase) == 0 {
		return nil
	}
	names, err := s.listFor(parent)
	if err != nil {
		return err
	}
	scripts := make(map[pool.AccountID][]byte)
	sums := make(map[pool.AccountID]pool.Amount)
	for _, out := range coinbase.Outputs {
		if out.Value <= 0 || len(out.Script) == 0 || s.own(out.Script) {
			continue
		}
		var id pool.AccountID
		if named := names[string(out.Script)]; len(named) > 0 {
			// Two accounts may be paid to one script, by two lists: the amount tells which.
			id = named[max(0, slices.IndexFunc(named, func(p ledger.CoinbasePayee) bool { return p.Amount == out.Value }))].Account
		} else {
			id = pool.AccountOf(s.o.Pool, out.Script)
			scripts[id] = out.Script
			s.log.Error().Str(pool.EventField, pool.EventLedgerOverdraft).Stringer("block", doc.Hash).Stringer("account", id).Int64("amount", int64(out.Value)).
				Msg("a coinbase pays an account that no list named")
		}
		if sums[id], err = sums[id].Add(out.Value); err != nil {
			return err
		}
		if doc.Direct, err = doc.Direct.Add(out.Value); err != nil {
			return err
		}
	}
	doc.PaidByCoinbase = nil
	for id, amount := range sums {
		doc.PaidByCoinbase = append(doc.PaidByCoinbase, pool.Credit{Account: id, Amount: amount})
	}
	slices.SortFunc(doc.PaidByCoinbase, func(a, b pool.Credit) int { return slices.Compare(a.Account[:], b.Account[:]) })
	for _, c := range doc.PaidByCoinbase {
		if script, ok := scripts[c.Account]; ok && !s.o.Book.Has(ledger.SetAccounts, c.Account.String()) {
			if err := s.newAccount(c.Account, script); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Settler) newAccount(id pool.AccountID, script []byte) error {
	e, err := s.accountEntry(id, script)
	if err != nil {
		return err
	}
	if _, err := s.o.Book.Post(e); err != nil && !errors.Is(err, ledger.ErrExists) {
		return err
	}
	return nil
}

// shared reports whether the outputs of a block that nobody told of are those of a list, so that it was not mined
// solo.
func (s *Settler) shared(coinbase *pool.CoinbaseTx, parent pool.Hash) (bool, error) {
	names, err := s.listFor(parent)
	if err != nil || names == nil {
		return false, err
	}
	for _, out := range coinbase.Outputs {
		if _, ok := names[string(out.Script)]; !ok && out.Value > 0 && !s.own(out.Script) {
			return false, nil
		}
	}
	return true, nil
}
