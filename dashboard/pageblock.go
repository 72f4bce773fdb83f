package dashboard

import (
	"errors"
	"fmt"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// blockPart is one block with its credits.
type blockPart struct {
	blockRow
	Hex        string
	File       string // address of its allocation file, "" when that is not here
	Rows       []creditRow
	ByCoinbase []creditRow
	Credited   pool.Amount
	Sum        bool // the parts add up to the reward
	Settled    bool // credits stand
}

// creditRow is one account's part of a block.
type creditRow struct {
	Account, Address string
	Amount           pool.Amount
	Share            float64 // of all credits
}

func (s *Server) pageBlock(r web.Request, p *view.Pool, id string) error {
	hash, err := pool.ParseHash(id)
	if err != nil {
		return web.NotFound("A block is named by its hash.")
	}
	doc, err := p.Block(hash)
	if errors.Is(err, view.ErrNoDoc) {
		return web.NotFound(fmt.Sprintf("this pool found no block %s", hash))
	}
	if err != nil {
		return err
	}
	snap := p.Snapshot()
	finder, err := p.Finders([]*ledger.BlockDoc{doc})
	if err != nil {
		return err
	}
	part := blockPart{blockRow: blockRow{doc, p.Info, view.Confirmations(doc, snap.View.Height), finder[0], -1}, Hex: hash.String()}
	part.Settled = doc.State == ledger.BlockImmature || doc.State == ledger.BlockMature
	sum := doc.Fee
	for _, c := range doc.Credits {
		if part.Credited, err = part.Credited.Add(c.Amount); err != nil {
			return err
		}
	}
	if sum, err = sum.Add(doc.Carry); err == nil {
		sum, err = sum.Add(part.Credited)
	}
	part.Sum = err == nil && sum == doc.Reward()
	if part.Rows, err = creditRows(p, doc.Credits, part.Credited); err != nil {
		return err
	}
	if part.ByCoinbase, err = creditRows(p, doc.PaidByCoinbase, 0); err != nil {
		return err
	}
	if p.Info.Files != nil && len(doc.Allocation) > 0 {
		part.File = "/api/v1/pools/" + p.Info.ID + "/blocks/" + part.Hex + "/allocation"
	}
	l := s.pages.language(r)
	return s.pages.render(r, "block", 200, page{
		Title: l.T("Block %d of %s", doc.Height, title(p.Info)), Notices: notice(l, p, snap), Body: part,
		JSON: "/api/v1/pools/" + p.Info.ID + "/blocks/" + part.Hex,
	})
}

func creditRows(p *view.Pool, credits []pool.Credit, total pool.Amount) ([]creditRow, error) {
	ids := make([]pool.AccountID, len(credits))
	for i, c := range credits {
		ids[i] = c.Account
	}
	addresses, err := p.Addresses(ids)
	if err != nil {
		return nil, err
	}
	out := make([]creditRow, len(credits))
	for i, c := range credits {
		out[i] = creditRow{Address: addresses[i], Amount: c.Amount}
		if p.Shown(c.Account) == ledger.ShowAll {
			out[i].Account = c.Account.String()
		}
		if total > 0 {
			out[i].Share = float64(c.Amount) / float64(total)
		}
	}
	return out, nil
}
