package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/slice"
)

// Explanation is how one account's credit of one block came about, from the files.
type Explanation struct {
	Block    ledger.BlockDoc  `json:"block"`
	Account  pool.AccountID   `json:"account"`
	Row      allocation.RowID `json:"row"` // of the account in the block's allocation file
	Slices   []SlicePart      `json:"slices"`
	Score    pool.Work        `json:"score"`             // of the account in the window
	Total    pool.Work        `json:"total"`             // of all accounts in the window
	Pot      pool.Amount      `json:"pot"`               // what is divided: reward - fee, or what own rates leave
	Floor    pool.Amount      `json:"floor"`             // floor(pot * score / total)
	Rest     pool.Work        `json:"rest"`              // pot * score - floor * total
	Unit     pool.Amount      `json:"unit"`              // 1 when the account got one of the units left over
	Own      bool             `json:"own,omitempty"`     // the account has a fee of its own, OwnPPM
	OwnPPM   uint32           `json:"own_ppm,omitempty"` // which comes off Gross
	Gross    pool.Amount      `json:"gross,omitempty"`
	Amount   pool.Amount      `json:"amount"`
	Ledger   pool.Amount      `json:"ledger"`  // the same as the ledger has it
	Entries  []uint64         `json:"entries"` // ledger entries that posted to the account for this block
	Accounts int              `json:"accounts"`
	Left     pool.Amount      `json:"left"` // units that the floors of all accounts left over
}

// SlicePart is what of one slice is in a window.
type SlicePart struct {
	Number uint64    `json:"number"`
	Mine   pool.Work `json:"mine"`  // score of the account in the slice
	Of     pool.Work `json:"of"`    // score of the slice
	Takes  pool.Work `json:"takes"` // score of the slice that is in the window; less than Of in the first one only
	Part   pool.Work `json:"part"`  // of the account: floor(mine * takes / of)
}

// ErrNoBlockDoc reports a block that the ledger does not have.
var ErrNoBlockDoc = errors.New("the ledger has no such block")

// FindBlock returns the document of a block that is named by height or hash. Of several blocks at one
// height it is the one in the chain, if one is.
func FindBlock(book *ledger.Book, name string) (*ledger.BlockDoc, error) {
	height, err := strconv.ParseInt(name, 10, 64)
	byHeight := err == nil && len(name) < 20
	var found *ledger.BlockDoc
	for id, body := range book.Docs(ledger.SetBlocks) {
		var doc ledger.BlockDoc
		if err := json.Unmarshal(body, &doc); err != nil {
			return nil, fmt.Errorf("read block %s of the ledger: %w", id, err)
		}
		if !byHeight && id == name {
			return &doc, nil
		}
		if byHeight && doc.Height == height && (found == nil || doc.State == ledger.BlockImmature || doc.State == ledger.BlockMature) {
			found = &doc
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoBlockDoc, name)
	}
	return found, nil
}

// Explain computes an account's credit of a block anew from the slices, the secret and the book in a
// pool's directory. It fails when the result is not the ledger's.
func Explain(dir, poolID string, book *ledger.Book, doc *ledger.BlockDoc, account pool.AccountID, scheme allocation.Splitter) (*Explanation, error) {
	switch {
	case doc.Window == nil:
		return nil, fmt.Errorf("block %s is a solo block: its coinbase paid the finder directly", doc.Hash)
	case doc.Coinbase == nil:
		return nil, fmt.Errorf("block %s is %s: nothing was credited", doc.Hash, doc.State)
	}
	secret, err := allocation.ReadSecret(filepath.Join(dir, "secret"))
	if err != nil {
		return nil, err
	}
	x := &Explanation{Block: *doc, Account: account, Row: secret.Row(doc.Hash, account)}
	w := newWindow(doc)
	var last [32]byte
	_, err = slice.ScanClosed(filepath.Join(dir, "slices"), func(p slice.Place, s *slice.Slice) error {
		if s.Number < doc.Window.First || s.Number > doc.Window.Last {
			return nil
		}
		last = p.Hash
		before := w.Sums[account]
		if err := w.Take(s); err != nil {
			return err
		}
		part := SlicePart{Number: s.Number, Of: s.Score, Takes: s.Score}
		if s.Number == doc.Window.First {
			part.Takes = doc.Window.Rest
		}
		for _, v := range s.Weight {
			if v.Account == account {
				part.Mine = v.Score
			}
		}
		part.Part, err = w.Sums[account].Sub(before)
		x.Slices = append(x.Slices, part)
		return err
	})
	if err != nil {
		return nil, err
	}
	if uint64(len(x.Slices)) != doc.Window.Last-doc.Window.First+1 {
		return nil, fmt.Errorf("the slices %d to %d of block %s are not all there", doc.Window.First, doc.Window.Last, doc.Hash)
	}
	a, credits, err := allocation.New(poolID, &secret, doc, last, w.Weights(), scheme)
	if err != nil {
		return nil, err
	}
	if err := x.fill(a, w.Sums[account], scheme); err != nil {
		return nil, err
	}
	for _, c := range credits {
		if c.Account == account {
			x.Amount = c.Amount
		}
	}
	for _, c := range doc.Credits {
		if c.Account == account {
			x.Ledger = c.Amount
		}
	}
	x.Unit = x.Amount - x.Floor
	if x.Own {
		x.Unit = x.Gross - x.Floor
	}
	if err := x.posted(book); err != nil {
		return nil, err
	}
	if x.Amount != x.Ledger {
		return x, fmt.Errorf("the files give account %s %d of block %s, the ledger says %d: run adit verify", account, x.Amount, doc.Hash, x.Ledger)
	}
	return x, nil
}

// fill computes the account's exact part and what the floors left over. With accounts that have fees of
// their own in the window, one of them is shown its part of the whole reward before its fee, the others
// theirs of what those leave.
func (x *Explanation) fill(a *allocation.File, score pool.Work, scheme allocation.Splitter) error {
	x.Score, x.Total, x.Pot, x.Accounts = score, a.Score, a.Reward-a.Fee, len(a.Rows)
	among := func(*allocation.Row) bool { return true }
	if slices.ContainsFunc(a.Rows, func(r allocation.Row) bool { return r.Fee != 0 }) {
		gross, err := a.Gross(scheme)
		if err != nil {
			return err
		}
		x.Pot, x.Total = 0, pool.Work{}
		for i := range a.Rows {
			if r := &a.Rows[i]; r.Row == x.Row {
				x.OwnPPM, x.Own = r.Fee.PPM()
				x.Gross = gross[i]
			}
			if a.Rows[i].Fee == 0 {
				x.Pot += a.Rows[i].Amount
				if x.Total, err = x.Total.Add(a.Rows[i].Score); err != nil {
					return err
				}
			}
		}
		if x.Own {
			x.Pot, x.Total = a.Reward, a.Score
		} else {
			among = func(r *allocation.Row) bool { return r.Fee == 0 }
		}
	}
	if x.Total.IsZero() {
		return nil
	}
	floors := pool.Amount(0)
	for i := range a.Rows {
		if !among(&a.Rows[i]) {
			continue
		}
		f, _, err := floorOf(x.Pot, a.Rows[i].Score, x.Total)
		if err != nil {
			return err
		}
		floors += f
	}
	x.Left = x.Pot - floors
	var err error
	x.Floor, x.Rest, err = floorOf(x.Pot, score, x.Total)
	return err
}

// floorOf is floor(pot * score / total) and what that leaves of pot * score.
func floorOf(pot pool.Amount, score, total pool.Work) (pool.Amount, pool.Work, error) {
	product := score.Big()
	product.Mul(product, pool.WorkOf(uint64(pot)).Big())
	quo, rem := product.QuoRem(product, total.Big(), total.Big())
	rest, err := pool.WorkFromBig(rem)
	return pool.Amount(quo.Int64()), rest, err
}

// posted lists the entries about the block that moved money of the account.
func (x *Explanation) posted(book *ledger.Book) error {
	for e, err := range book.Entries(0) {
		if err != nil {
			return err
		}
		if e.Subject == nil || e.Subject.Set != ledger.SetBlocks || e.Subject.ID != x.Block.Hash.String() {
			continue
		}
		for _, p := range e.Postings {
			if id, _, ok := p.Credit.Miner(); ok && id == x.Account {
				x.Entries = append(x.Entries, e.Seq)
				break
			}
		}
	}
	return nil
}
