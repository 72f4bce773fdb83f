package view

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

const (
	maxLists = 1024 // remembered a pool
	keptRows = 100  // of each account's lists in the store
)

// Credits is a stretch of an account's credits. It is not changed after it was made.
type Credits struct {
	Rows  []ledger.CreditRow
	Next  string // where the next stretch begins, "" at the end
	Total int    // that the store keeps
}

// Payouts is a stretch of an account's payouts. It is not changed after it was made.
type Payouts struct {
	Rows  []PayoutRow
	Next  string
	Total int
}

// PayoutRow is what one payout has for one account.
type PayoutRow struct {
	Doc    *payout.BatchDoc
	Amount pool.Amount
}

// Final is when the payout was confirmed, in Unix milliseconds; 0 when it is not.
func (r *PayoutRow) Final() int64 {
	for _, s := range r.Doc.Steps {
		if s.State == payout.StateConfirmed || s.State == payout.StateFinal {
			if r.Doc.State == payout.StateConfirmed || r.Doc.State == payout.StateFinal {
				return s.Time
			}
		}
	}
	return 0
}

type listKey struct {
	account pool.AccountID
	cursor  string
	limit   int
}

// Credits lists an account's credits, newest block first.
func (p *Pool) Credits(id pool.AccountID, cursor string, limit int) (*Credits, error) {
	c, at, err := p.credits.get(listKey{id, cursor, limit}, func(ctx context.Context) (*Credits, error) {
		c := new(Credits)
		var err error
		c.Rows, c.Next, c.Total, err = p.Info.Store.Credits(ctx, id, cursor, limit)
		return c, err
	})
	if at.IsZero() {
		return nil, err
	}
	return c, nil
}

// Paid lists an account's payouts, newest first.
func (p *Pool) Paid(id pool.AccountID, cursor string, limit int) (*Payouts, error) {
	c, at, err := p.paid.get(listKey{id, cursor, limit}, func(ctx context.Context) (*Payouts, error) {
		rows, next, total, err := p.Info.Store.Payouts(ctx, id, cursor, limit)
		c := &Payouts{Next: next, Total: total}
		for _, r := range rows {
			doc := new(payout.BatchDoc)
			if err := json.Unmarshal(r.Payout, doc); err != nil {
				return nil, fmt.Errorf("read a payout of account %s: %w", id, err)
			}
			c.Rows = append(c.Rows, PayoutRow{doc, r.Amount})
		}
		return c, err
	})
	if at.IsZero() {
		return nil, err
	}
	return c, nil
}

// Credit is an account's credit of one block among those that the store keeps, or ErrNoDoc.
func (p *Pool) Credit(id pool.AccountID, block pool.Hash) (*ledger.CreditRow, error) {
	all, err := p.Credits(id, "", keptRows)
	if err != nil {
		return nil, err
	}
	for i := range all.Rows {
		if all.Rows[i].Block.Hash == block {
			return &all.Rows[i], nil
		}
	}
	return nil, ErrNoDoc
}

// Share is how a credit came about where every account pays the same fee: floor(Pot · score / score of all),
// and one unit more for the largest remainders of what the floors leave over.
type Share struct {
	Pot, Floor, Unit pool.Amount
}

// ShareOf computes a credit anew from its block; ok is false where the block's document does not tell enough:
// a solo block, one with fees of accounts' own, one of a version that kept no scores.
func ShareOf(c *ledger.CreditRow) (s Share, ok bool) {
	b := c.Block
	if b.Window == nil || len(b.AccountFees) > 0 || b.Score.IsZero() || c.Score.IsZero() {
		return s, false
	}
	s.Pot = b.Reward() - b.Fee
	part := new(big.Int).Mul(big.NewInt(int64(s.Pot)), bigWork(c.Score))
	part.Div(part, bigWork(b.Score))
	s.Floor = pool.Amount(part.Int64())
	s.Unit = c.Amount - s.Floor
	return s, part.IsInt64() && (s.Unit == 0 || s.Unit == 1)
}

// PartOf is the account's part of the window that a block was split over, below 0 where it is not known.
func PartOf(c *ledger.CreditRow) float64 {
	if c.Block.Score.IsZero() || c.Score.IsZero() {
		return -1
	}
	return min(Finite(c.Score.Float64()/c.Block.Score.Float64()), 1)
}

func bigWork(w pool.Work) *big.Int {
	n := new(big.Int).SetUint64(w.Hi)
	return n.Or(n.Lsh(n, 64), new(big.Int).SetUint64(w.Lo))
}

// Day is what one day of UTC brought an account.
type Day struct {
	Day       time.Time
	Blocks    int         // that stand in the chain
	Credited  pool.Amount // by them
	Immature  pool.Amount // of it, not yet spendable
	Payouts   int         // confirmed on this day
	Paid      pool.Amount
	Withdrawn pool.Amount // credits of blocks of this day that were orphaned
}

// Days adds up an account's credits by the day that the block was found, and its payouts by the day that they
// were confirmed, newest day first. The store keeps the newest hundred of each: where there are as many, days
// that may miss some are left out.
func (p *Pool) Days(id pool.AccountID) ([]Day, error) {
	credits, err := p.Credits(id, "", keptRows)
	if err != nil {
		return nil, err
	}
	paid, err := p.Paid(id, "", keptRows)
	if err != nil {
		return nil, err
	}
	days := make(map[int64]*Day)
	const ms = int64(24 * time.Hour / time.Millisecond)
	at := func(t int64) *Day {
		d := days[t/ms]
		if d == nil {
			d = &Day{Day: time.UnixMilli(t / ms * ms).UTC()}
			days[t/ms] = d
		}
		return d
	}
	first := int64(0) // the first whole day
	for i := range credits.Rows {
		c := &credits.Rows[i]
		if credits.Total >= keptRows && i == len(credits.Rows)-1 {
			first = max(first, c.Block.Time/ms+1)
		}
		d := at(c.Block.Time)
		switch c.Block.State {
		case ledger.BlockImmature, ledger.BlockMature:
			d.Blocks++
			if d.Credited, err = d.Credited.Add(c.Amount); err != nil {
				return nil, err
			}
			if c.Block.State == ledger.BlockImmature {
				d.Immature += c.Amount // at most what is credited
			}
		case ledger.BlockOrphaned:
			if d.Withdrawn, err = d.Withdrawn.Add(c.Amount); err != nil {
				return nil, err
			}
		}
	}
	for i := range paid.Rows {
		r := &paid.Rows[i]
		t := r.Final()
		if t == 0 {
			continue
		}
		if paid.Total >= keptRows && i == len(paid.Rows)-1 {
			first = max(first, t/ms+1)
		}
		d := at(t)
		d.Payouts++
		if d.Paid, err = d.Paid.Add(r.Amount); err != nil {
			return nil, err
		}
	}
	out := make([]Day, 0, len(days))
	for number, d := range days {
		if number >= first {
			out = append(out, *d)
		}
	}
	slices.SortFunc(out, func(a, b Day) int { return b.Day.Compare(a.Day) })
	return out, nil
}
