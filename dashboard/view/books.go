package view

import (
	"context"
	"encoding/json"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Files gives what the ledger's disk has and the store has not.
type Files interface {
	// Allocation is a block's published allocation file, or fs.ErrNotExist.
	Allocation(block pool.Hash) ([]byte, error)
	// Row is the id of an account's row in a block's allocation file.
	Row(block pool.Hash, account pool.AccountID) (string, error)
}

// Heads lists signed heads, newest first.
func (p *Pool) Heads(cursor string, limit int) (docs []json.RawMessage, next string, total int, err error) {
	err = p.call(func(ctx context.Context) (err error) {
		docs, next, total, err = p.Info.Store.Docs(ctx, ledger.SetHeads, cursor, limit)
		return err
	})
	return docs, next, total, err
}

// SignedHead reads one signed head as it was signed but for the newline, or returns ErrNoDoc.
func (p *Pool) SignedHead(id string) (b json.RawMessage, err error) {
	return b, p.doc(ledger.SetHeads, id, &b)
}

const (
	maxFees = 10_000 // versions of the fee schedule that are read
	feePage = 100
)

// fee is what all pay in the pool's scheme at a height, by the ledger's schedule; nil while it has none.
func (p *Pool) fee(ctx context.Context, height int64) (*uint32, error) {
	var docs []json.RawMessage
	for cursor := ""; len(docs) < maxFees; {
		more, next, _, err := p.Info.Store.Docs(ctx, ledger.SetFees, cursor, feePage)
		if err != nil {
			return nil, err
		}
		docs = append(docs, more...)
		if cursor = next; next == "" {
			break
		}
	}
	fees, err := ledger.ParseFees(docs)
	if err != nil || len(fees) == 0 {
		return nil, err
	}
	ppm := fees.At(height, p.Info.Scheme).PPM
	return &ppm, nil
}

// Now is the pool with the fee of the ledger, once it is known.
func (p *Pool) Now(snap *Snapshot) *PoolInfo {
	if snap.FeePPM == nil {
		return p.Info
	}
	info := *p.Info
	info.FeePPM = *snap.FeePPM
	return &info
}
