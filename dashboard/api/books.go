package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
)

// allocation answers with a block's allocation file exactly as it was written: its checksum is over these
// bytes.
func (a *API) allocation(r web.Request, p *view.Pool, part []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	hash, err := pool.ParseHash(part[0])
	if err != nil {
		return web.NotFound("a block is named by its hash: " + err.Error())
	}
	if p.Info.Files == nil {
		return web.NotFound("the allocation files lie with the ledger, and this server has none: ask one that has")
	}
	b, err := p.Info.Files.Allocation(hash)
	if errors.Is(err, fs.ErrNotExist) {
		return web.NotFound(fmt.Sprintf("there is no allocation file of block %s", hash))
	}
	if err != nil {
		return err
	}
	return r.Body(web.TypeJSON, b)
}

// heads lists the signed heads, newest first, each exactly as it was signed but for the newline.
func (a *API) heads(r web.Request, p *view.Pool, _ []string) error {
	q, err := r.Query("limit", "cursor")
	if err != nil {
		return err
	}
	limit, cursor, err := web.Page(q)
	if err != nil {
		return err
	}
	docs, next, total, err := p.Heads(cursor, limit)
	if err != nil {
		return badCursor(p, err)
	}
	b, err := json.Marshal(struct {
		Heads []json.RawMessage `json:"heads"`
		Total int               `json:"total"`
		Next  *string           `json:"next"`
	}{orEmpty(docs), total, orNull(next)})
	if err != nil {
		return err
	}
	return r.Body(web.TypeJSON, append(b, '\n'))
}

// head answers with one signed head, exactly as its file has it.
func (a *API) head(r web.Request, p *view.Pool, part []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	b, err := p.SignedHead(part[0])
	if errors.Is(err, view.ErrNoDoc) {
		return web.NotFound(fmt.Sprintf("there is no signed head %.40q", part[0]))
	}
	if err != nil {
		return err
	}
	return r.Body(web.TypeJSON, append(b, '\n'))
}
