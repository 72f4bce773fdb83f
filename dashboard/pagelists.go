package dashboard

import (
	"fmt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// listPart is a page of a list.
type listPart struct {
	Info          *PoolInfo
	Blocks        []blockRow
	Payouts       []payoutRow
	Offset, Total int
	First, Last   int    // numbers of the rows shown, from 1
	Newer, Older  string // addresses of the neighbour pages, "" at the ends
}

func listOf(i *PoolInfo, what string, limit, offset, total, shown int) listPart {
	l := listPart{Info: i, Offset: offset, Total: total, First: offset + 1, Last: offset + shown}
	path := "/" + i.ID + "/" + what
	if offset > 0 {
		l.Newer = fmt.Sprintf("%s?limit=%d&offset=%d", path, limit, max(offset-limit, 0))
	}
	if offset+limit < total {
		l.Older = fmt.Sprintf("%s?limit=%d&offset=%d", path, limit, offset+limit)
	}
	return l
}

func (s *Server) pageBlocks(r request, p *poolState) error {
	limit, offset, err := r.page()
	if err != nil {
		return err
	}
	snap := p.snapshot(r)
	rows := p.pageBlockRows(r, snap, offset, limit)
	part := listOf(p.info, "blocks", limit, offset, snap.blocks.total, len(rows))
	part.Blocks = rows
	return s.pages.render(r, "blocks", 200, page{
		Title: "Blocks of " + title(p.info), Notices: p.notice(snap), Body: part,
		JSON: fmt.Sprintf("/api/v1/pools/%s/blocks?limit=%d&offset=%d", p.info.ID, limit, offset),
	})
}

func (s *Server) pagePayments(r request, p *poolState) error {
	limit, offset, err := r.page()
	if err != nil {
		return err
	}
	snap := p.snapshot(r)
	docs, total, err := p.payouts.rows(r.base, snap.head, snap.payouts, offset, limit)
	if err != nil {
		return err
	}
	part := listOf(p.info, "payments", limit, offset, total, len(docs))
	for _, d := range docs {
		part.Payouts = append(part.Payouts, payoutRowOf(p.info, d))
	}
	return s.pages.render(r, "payments", 200, page{
		Title: "Payouts of " + title(p.info), Notices: p.notice(snap), Body: part,
		JSON: fmt.Sprintf("/api/v1/pools/%s/payouts?limit=%d&offset=%d", p.info.ID, limit, offset),
	})
}

// blockPart is one block with its credits.
type blockPart struct {
	blockRow
	Credits    []creditRow
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

func (s *Server) pageBlock(r request, p *poolState, id string) error {
	doc, err := p.block(r.base, id)
	if err != nil {
		return err
	}
	snap := p.snapshot(r)
	full, err := p.fullBlock(r.base, doc, snap.view.Height)
	if err != nil {
		return err
	}
	part := blockPart{blockRow: blockRow{blockJSON: full, Info: p.info, Ms: doc.Time,
		Reward: doc.Value, Fee: doc.Fee, Carry: doc.Carry, Hex: doc.Hash.String()}}
	part.Settled = doc.State == ledger.BlockImmature || doc.State == ledger.BlockMature
	if full.Finder != nil {
		part.FinderIs = *full.Finder
	}
	sum := doc.Fee
	for _, c := range doc.Credits {
		if part.Credited, err = part.Credited.Add(c.Amount); err != nil {
			return err
		}
	}
	if sum, err = sum.Add(doc.Carry); err == nil {
		sum, err = sum.Add(part.Credited)
	}
	part.Sum = err == nil && sum == doc.Value
	part.Credits = creditRows(*full.Credits, part.Credited)
	part.ByCoinbase = creditRows(*full.PaidByCoinbase, 0)
	return s.pages.render(r, "block", 200, page{
		Title: fmt.Sprintf("Block %d of %s", doc.Height, title(p.info)), Notices: p.notice(snap), Body: part,
		JSON: "/api/v1/pools/" + p.info.ID + "/blocks/" + part.Hex,
	})
}

func creditRows(credits []creditJSON, total pool.Amount) []creditRow {
	out := make([]creditRow, len(credits))
	for i, c := range credits {
		out[i] = creditRow{Account: c.Account.String(), Amount: pool.Amount(c.Amount)}
		if c.Address != nil {
			out[i].Address = *c.Address
		}
		if total > 0 {
			out[i].Share = float64(c.Amount) / float64(total)
		}
	}
	return out
}
