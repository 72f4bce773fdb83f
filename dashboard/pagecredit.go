package dashboard

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// creditPart is why an account was paid what of a block.
type creditPart struct {
	blockRow
	Address, Account string
	Hex              string
	Credit           *ledger.CreditRow
	Part             float64 // of the window; below 0: not known
	Share            view.Share
	Exact            bool   // Share was computed, and is what the ledger has
	Row              string // id in the allocation file, "" when it is not known here
	File             string // address of the allocation file, "" when it is not here
}

// pageCredit answers "why was I paid this?" for one block.
func (s *Server) pageCredit(r web.Request, p *view.Pool, address, block string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	script, err := p.Info.Chain.Script(address)
	if err != nil {
		return web.NotFound(err.Error())
	}
	hash, err := pool.ParseHash(block)
	if err != nil {
		return web.NotFound("A block is named by its hash.")
	}
	id := pool.AccountOf(p.Info.ID, script)
	shown, err := p.Open(id, r.Keys())
	if err == nil && shown != ledger.ShowAll {
		err = view.ErrHidden
	}
	if err != nil {
		return hidden(err)
	}
	c, err := p.Credit(id, hash)
	if errors.Is(err, view.ErrNoDoc) {
		return web.NotFound(fmt.Sprintf("block %s credited nothing to this address, or more than a hundred of its credits ago", hash))
	}
	if err != nil {
		return err
	}
	snap := p.Snapshot()
	part := creditPart{blockRow: blockRow{c.Block, p.Info, view.Confirmations(c.Block, snap.View.Height), "", -1}, Address: address, Account: id.String(),
		Hex: hash.String(), Credit: c, Part: view.PartOf(c)}
	part.Share, part.Exact = view.ShareOf(c)
	if p.Info.Files != nil && len(c.Block.Allocation) > 0 {
		part.File = "/api/v1/pools/" + p.Info.ID + "/blocks/" + part.Hex + "/allocation"
		if part.Row, err = p.Info.Files.Row(hash, id); err != nil {
			s.log.Debug().Err(err).Msg("a row's id could not be computed")
		}
	}
	l := s.pages.language(r)
	return s.pages.render(r, "credit", 200, page{Title: l.T("Why block %d paid this", c.Block.Height), Address: address, Notices: notice(l, p, snap),
		Body: part, JSON: "/api/v1/pools/" + p.Info.ID + "/miners/" + url.PathEscape(address) + "/credits"})
}
