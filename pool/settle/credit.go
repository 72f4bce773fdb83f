package settle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/ledger"
)

// credit reads a block back from the chain and posts what it pays.
func (s *Settler) credit(ctx context.Context, b *tracked) error {
	raw, err := s.o.Node.RawBlock(ctx, b.hash)
	if err != nil {
		return fmt.Errorf("%w for block %s: %w", errNode, b.hash, err)
	}
	coinbase, err := s.o.Chain.ParseCoinbase(raw)
	if err != nil {
		return fmt.Errorf("read the coinbase of block %s: %w", b.hash, err)
	}
	return s.move(b, ledger.BlockImmature, func(doc *ledger.BlockDoc) ([]ledger.Posting, error) {
		if err := s.allot(doc, &coinbase, parentOf(raw)); err != nil {
			return nil, err
		}
		if err := s.accounts(doc.Credits); err != nil {
			return nil, err
		}
		return doc.CreditPostings(), nil
	})
}

// allot fills in what a block's coinbase pays, and to whom.
func (s *Settler) allot(doc *ledger.BlockDoc, coinbase *pool.CoinbaseTx, parent pool.Hash) error {
	promised := doc.Value
	value, own, others, err := s.outputs(coinbase)
	if err != nil {
		return fmt.Errorf("coinbase of block %s: %w", doc.Hash, err)
	}
	doc.Value, doc.PaidByCoinbase = value, others
	doc.Coinbase = &ledger.Coinbase{TxID: coinbase.TxID, Outputs: own}
	doc.Fee, doc.Carry, doc.Credits, doc.Allocation, doc.AllocationRoot, doc.Direct = value, 0, nil, nil, nil, 0
	doc.Score, doc.Scores = pool.Work{}, nil
	if doc.Window == nil { // solo: what the coinbase pays the pool is the fee
		return nil
	}
	if err := s.direct(doc, coinbase, parent); err != nil {
		return fmt.Errorf("coinbase of block %s: %w", doc.Hash, err)
	}
	if doc.Finder != nil && promised != doc.Reward() && doc.Step == 1 {
		s.log.Warn().Stringer("block", doc.Hash).Int64("promised", int64(promised)).Int64("paid", int64(doc.Reward())).
			Msg("the coinbase does not pay the pool what its template promised")
	}
	sums, err := s.fold.store.Sum(doc.Window.First, doc.Window.Last, doc.Window.Rest)
	if err != nil {
		return fmt.Errorf("window of block %s: %w", doc.Hash, err)
	}
	hash, err := s.fold.store.Hash(doc.Window.Last)
	if err != nil {
		return fmt.Errorf("window of block %s: %w", doc.Hash, err)
	}
	weights := sums.Weights()
	a, credits, err := allocation.New(s.o.Pool, &s.o.Secret, doc, hash, weights, s.o.Scheme)
	if err != nil {
		return fmt.Errorf("split block %s: %w", doc.Hash, err)
	}
	if err := a.Write(s.o.FS, s.o.Allocations); err != nil {
		return err
	}
	doc.Fee, doc.Carry, doc.Credits, doc.Allocation, doc.AllocationRoot = a.Fee, a.Carry, credits, a.Sum, a.Root
	doc.Score, doc.Scores = a.Score, ledger.ScoresOf(credits, weights)
	return nil
}

// outputs divides a coinbase's outputs into the pool's own and the accounts that it pays directly.
func (s *Settler) outputs(coinbase *pool.CoinbaseTx) (value pool.Amount, own []ledger.Output, others []pool.Credit, err error) {
	for i, out := range coinbase.Outputs {
		switch {
		case out.Value <= 0 || len(out.Script) == 0:
		case s.own(out.Script):
			if value, err = value.Add(out.Value); err != nil {
				return 0, nil, nil, err
			}
			own = append(own, ledger.Output{Index: uint32(i), Value: out.Value, Script: bytes.Clone(out.Script)})
		default:
			others = append(others, pool.Credit{Account: pool.AccountOf(s.o.Pool, out.Script), Amount: out.Value})
		}
	}
	return value, own, others, nil
}

// own reports whether an output script is the pool's.
func (s *Settler) own(script []byte) bool { return bytes.Equal(script, s.o.RewardScript) }

// accounts posts the document of every account that is credited for the first time.
func (s *Settler) accounts(credits []pool.Credit) error {
	var entries []ledger.Entry
	for _, c := range credits {
		id := c.Account.String()
		if s.o.Book.Has(ledger.SetAccounts, id) {
			continue
		}
		script := s.fold.scripts[c.Account]
		if len(script) == 0 {
			return fmt.Errorf("account %s has no script in the slices", id)
		}
		e, err := s.accountEntry(c.Account, script)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	for chunk := range slices.Chunk(entries, 5000) {
		if _, err := s.o.Book.PostAll(chunk); err != nil && !errors.Is(err, ledger.ErrExists) {
			return err
		}
	}
	return nil
}

// accountEntry is the document of an account.
func (s *Settler) accountEntry(account pool.AccountID, script []byte) (ledger.Entry, error) {
	id := account.String()
	address, err := s.o.Chain.Address(script)
	if err != nil {
		address = ""
	}
	body, err := ledger.Body(ledger.AccountDoc{Account: account, Script: script, Address: address})
	return ledger.Entry{
		Kind: "account.new", Key: "account/" + id, Body: body,
		Subject: &ledger.Subject{Set: ledger.SetAccounts, ID: id},
	}, err
}
