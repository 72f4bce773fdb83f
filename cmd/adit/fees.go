package main

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// feeEvery is how often an edge looks at the fee schedule.
const feeEvery = 5 * time.Second

// feeDocs is where an edge reads the ledger's documents.
type feeDocs interface {
	Docs(ctx context.Context, set, after string, limit int) (docs []json.RawMessage, next string, total int, err error)
}

// feeWatch knows the ledger's fee schedule for an edge, whose SOLO work pays the fee by the block itself. A
// schedule that cannot be read stays as it was read last.
type feeWatch struct {
	docs feeDocs
	log  zerolog.Logger
	look chan struct{} // asks for a look at once
	now  atomic.Pointer[ledger.Fees]
	ppm  uint32 // until the ledger has a schedule
}

func newFeeWatch(docs feeDocs, ppm uint32, log zerolog.Logger) *feeWatch {
	return &feeWatch{docs: docs, log: log, look: make(chan struct{}, 1), ppm: ppm}
}

// solo is the rate that a finder pays at a height.
func (f *feeWatch) solo(height int64, account pool.AccountID) uint32 {
	fees := f.now.Load()
	if fees == nil {
		return f.ppm
	}
	ppm, _ := fees.For(height, pool.SchemeSOLO.String(), account)
	return ppm
}

// poke asks for a look at once: the schedule was changed here.
func (f *feeWatch) poke() {
	select {
	case f.look <- struct{}{}:
	default:
	}
}

// run follows the schedule until ctx ends.
func (f *feeWatch) run(ctx context.Context) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		case <-f.look:
		}
		if err := f.read(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn().Err(err).Msg("the fee schedule cannot be read; the one read last counts")
		}
		if f.now.Load() == nil { // a ledger that begins, or a Redis that is being filled
			wait.Reset(feeEvery / 20)
		} else {
			wait.Reset(feeEvery)
		}
	}
}

func (f *feeWatch) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, feeEvery)
	defer cancel()
	var all []json.RawMessage
	for after := ""; ; {
		const page = 500
		docs, next, _, err := f.docs.Docs(ctx, ledger.SetFees, after, page)
		if err != nil {
			return err
		}
		all = append(all, docs...)
		if after = next; next == "" {
			break
		}
	}
	if len(all) == 0 {
		return nil
	}
	fees, err := ledger.ParseFees(all)
	if err == nil {
		f.now.Store(&fees)
	}
	return err
}
