package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Files gives what the ledger's disk has and the store has not.
type Files interface {
	// Allocation is a block's published allocation file, or fs.ErrNotExist.
	Allocation(block pool.Hash) ([]byte, error)
}

// apiAllocation answers with a block's allocation file exactly as it was written: its checksum is over these
// bytes.
func (s *Server) apiAllocation(r request, p *poolState, id string) error {
	hash, err := pool.ParseHash(id)
	if err != nil {
		return notFound("a block is named by its hash: " + err.Error())
	}
	if p.info.Files == nil {
		return notFound("the allocation files lie with the ledger, and this server has none: ask one that has")
	}
	b, err := p.info.Files.Allocation(hash)
	if errors.Is(err, fs.ErrNotExist) {
		return notFound(fmt.Sprintf("there is no allocation file of block %s", hash))
	}
	if err != nil {
		return err
	}
	return r.body(typeJSON, b)
}

// apiHeads lists the signed heads, newest first, each exactly as it was signed but for the newline.
func (s *Server) apiHeads(r request, p *poolState) error {
	limit, offset, err := r.page()
	if err != nil {
		return err
	}
	var docs []json.RawMessage
	var total int
	err = p.call(r.base, func(ctx context.Context) (err error) {
		docs, total, err = p.info.Store.Docs(ctx, ledger.SetHeads, offset, limit)
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(struct {
		Heads []json.RawMessage `json:"heads"`
		Total int               `json:"total"`
	}{append([]json.RawMessage{}, docs...), total})
	if err != nil {
		return err
	}
	return r.body(typeJSON, append(b, '\n'))
}

// apiHead answers with one signed head, exactly as its file has it.
func (s *Server) apiHead(r request, p *poolState, id string) error {
	var b json.RawMessage
	err := p.doc(r.base, ledger.SetHeads, id, &b)
	if errors.Is(err, errNoDoc) {
		return notFound(fmt.Sprintf("there is no signed head %.40q", id))
	}
	if err != nil {
		return err
	}
	return r.body(typeJSON, append(b, '\n'))
}
