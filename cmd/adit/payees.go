package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// payeesEvery is how often an edge looks whom its coinbases pay.
const payeesEvery = 500 * time.Millisecond

// payeeWatch gives an edge the ledger's list of coinbase payees. Redis has what is committed only; when it does not
// answer, the list read last goes on until its tip or time is over, and then coinbases pay the pool.
type payeeWatch struct {
	docs feeDocs
	set  func(*pool.PayeeList) error
	log  zerolog.Logger
	last json.RawMessage
}

// run follows the list until ctx ends.
func (p *payeeWatch) run(ctx context.Context) error {
	tick := time.NewTicker(payeesEvery)
	defer tick.Stop()
	var warned time.Time
	for {
		if err := p.read(ctx); err != nil && ctx.Err() == nil && time.Since(warned) > time.Minute {
			warned = time.Now()
			p.log.Warn().Err(err).Msg("the list of coinbase payees cannot be read")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *payeeWatch) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, feeEvery)
	defer cancel()
	docs, _, _, err := p.docs.Docs(ctx, ledger.SetPayees, "", 1)
	if err != nil || len(docs) == 0 || bytes.Equal(docs[0], p.last) {
		return err
	}
	var doc ledger.PayeesDoc
	if err := json.Unmarshal(docs[0], &doc); err != nil || doc.V != ledger.PayeesVersion {
		return fmt.Errorf("read the list of coinbase payees, format %d: %w", doc.V, err)
	}
	if err := p.set(doc.List()); err != nil {
		return err
	}
	p.last = docs[0]
	return nil
}
