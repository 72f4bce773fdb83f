package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// narrated are the events that describe tells of.
var narrated = []string{
	pool.EventBlockFound, pool.EventBlockMatured, pool.EventBlockOrphaned, pool.EventBlockRejected,
	pool.EventPayoutSent, pool.EventPayoutConfirmed, pool.EventPayoutConflicted,
}

// narrate says each thing that matters once, as the ledger learns of it: in the log, and as a line for
// the person at the terminal when out is not nil. It returns when ctx ends.
func narrate(ctx context.Context, book *ledger.Book, p *pool.Params, told *tally, out io.Writer, log zerolog.Logger) {
	seq := book.Head().Seq
	for {
		changed := book.Changed()
		for e, err := range book.Entries(seq) {
			if err != nil {
				log.Error().Str(pool.EventField, pool.EventLedgerUnreadable).Err(err).Msg("read the ledger")
				break
			}
			seq = e.Seq
			if e.Subject == nil {
				continue
			}
			event, line := describe(e, p)
			if line == "" {
				continue
			}
			told.count(event)
			log.Info().Str(pool.EventField, event).RawJSON("doc", e.Body).Msg(line)
			if out != nil {
				fmt.Fprintf(out, "%s  %s\n", time.UnixMilli(e.Time).Format(time.TimeOnly), line)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// describe words an entry; line is "" for those that need no telling.
func describe(e ledger.Entry, p *pool.Params) (event, line string) {
	amount := func(a pool.Amount) string { return a.Format(p.Decimals) + " " + p.Symbol }
	switch e.Subject.Set {
	case ledger.SetBlocks:
		var b ledger.BlockDoc
		if json.Unmarshal(e.Body, &b) != nil {
			return "", ""
		}
		switch b.State {
		case ledger.BlockSubmitted:
			return pool.EventBlockFound, fmt.Sprintf("block %d found: %s", b.Height, b.Hash)
		case ledger.BlockMature:
			return pool.EventBlockMatured, fmt.Sprintf("block %d matured: %s for %d accounts", b.Height, amount(b.Reward()-b.Fee-b.Carry), len(b.Credits))
		case ledger.BlockOrphaned:
			return pool.EventBlockOrphaned, fmt.Sprintf("block %d orphaned: %s", b.Height, b.Hash)
		case ledger.BlockRejected:
			return pool.EventBlockRejected, fmt.Sprintf("block %d rejected: %s", b.Height, b.Hash)
		}
	case payout.SetPayouts:
		var b payout.BatchDoc
		if json.Unmarshal(e.Body, &b) != nil {
			return "", ""
		}
		switch b.State {
		case payout.StateBroadcast:
			return pool.EventPayoutSent, fmt.Sprintf("payout sent: %s to %d payees in %s", amount(b.Total), len(b.Payees), b.TxID)
		case payout.StateConfirmed:
			return pool.EventPayoutConfirmed, fmt.Sprintf("payout confirmed: %s", b.TxID)
		case payout.StateConflicted:
			return pool.EventPayoutConflicted, fmt.Sprintf("payout in conflict, stopped: %s", b.TxID)
		}
	}
	return "", ""
}
