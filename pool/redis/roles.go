package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/adit-pool/adit/pool"
)

// EdgeHold is how long an edge's name is kept without being held again.
const EdgeHold = 30 * time.Second

// ErrEdgeHeld reports that another process serves under an edge's name.
var ErrEdgeHeld = errors.New("another process serves under this edge's name")

// HoldEdge keeps an edge's name for one process for another EdgeHold, or returns [ErrEdgeHeld]. Two edges of
// one name would show as one, and each would keep the other's journals.
func (p *Pool) HoldEdge(ctx context.Context, edge, process string) error {
	return p.holdEdge(ctx, edge, process, EdgeHold)
}

// LeaveEdge gives the name back.
func (p *Pool) LeaveEdge(ctx context.Context, edge, process string) error {
	return p.holdEdge(ctx, edge, process, 0)
}

func (p *Pool) holdEdge(ctx context.Context, edge, process string, keep time.Duration) error {
	v, err := p.answer(ctx, holdLua, []string{p.k.edgeHolds()}, edge, process, strconv.Itoa(int(keep/time.Second)))
	if err != nil {
		return fmt.Errorf("hold the name of edge %s: %w", edge, err)
	}
	if text(v, 0) != "ok" {
		return fmt.Errorf("edge %s: %w: %s", edge, ErrEdgeHeld, text(v, 1))
	}
	return nil
}

// ledgerStale is how old a ledger role's report may be to count; after an hour it is forgotten.
const ledgerStale = time.Minute

// ReportLedger stores what a ledger role says of itself.
func (p *Pool) ReportLedger(ctx context.Context, r pool.LedgerReport) error {
	r.Time = p.r.now().UnixMilli()
	body, err := json.Marshal(r)
	if err == nil {
		err = p.r.client.HSet(ctx, p.k.ledgers(), r.Name, body).Err()
	}
	if err != nil {
		return fmt.Errorf("store the report of ledger %s: %w", r.Name, err)
	}
	return nil
}

// Ledgers is what the ledger roles of a pool said within the last hour, by name; nothing is written.
func (r *Redis) Ledgers(ctx context.Context, poolID string) ([]pool.LedgerReport, error) {
	p := &Pool{r: r, id: poolID, k: poolKeys(poolID)}
	fields, err := r.client.HGetAll(ctx, p.k.ledgers()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the reports of ledgers: %w", err)
	}
	return p.ledgerReports(r.now().UnixMilli(), fields), nil
}

// ledgerReports reads what ledger roles said within the last hour, by name.
func (p *Pool) ledgerReports(now int64, fields map[string]string) []pool.LedgerReport {
	var out []pool.LedgerReport
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var r pool.LedgerReport
		if err := json.Unmarshal([]byte(fields[name]), &r); err != nil {
			p.r.log.Warn().Err(err).Str("ledger", name).Msg("unreadable report in redis")
			continue
		}
		age := now - r.Time
		if age > time.Hour.Milliseconds() {
			continue
		}
		if age > ledgerStale.Milliseconds() {
			r.State, r.Error = pool.LedgerSilent, ""
		}
		out = append(out, r)
	}
	return out
}
