package dashboard

import (
	"fmt"
	"time"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// shownRows are a pool's newest blocks and payouts on the overview.
const (
	shownBlocks  = 8
	shownPayouts = 6
)

// poolPart is one pool on the overview.
type poolPart struct {
	Info      *PoolInfo
	View      *pool.PoolView
	Known     bool // values were read at least once
	Chart     chart
	Connect   connect
	Effort    string
	BlockTime string
	Rejected  float64
	Health    []healthRow
	Healthy   bool
	Blocks    []blockRow
	AllBlocks int
	Payouts   []payoutRow
	AllPaid   int
}

// connect is how to point a rig at a pool.
type connect struct {
	Stratum   []string
	User      string
	Algorithm string
}

// healthRow is one part of a pool and how it is.
type healthRow struct {
	Name, Detail string
	OK           bool
}

// blockRow is one found block on a page.
type blockRow struct {
	blockJSON
	Info     *PoolInfo
	Ms       int64
	FinderIs string
	Reward   pool.Amount
	Fee      pool.Amount
	Carry    pool.Amount
	Hex      string
}

// payoutRow is one payout on a page.
type payoutRow struct {
	*payout.BatchDoc
	Info *PoolInfo
	Ms   int64
	TxID string
}

func (s *Server) pageOverview(r request, pools []*poolState) error {
	v := page{Title: "Overview", JSON: "/api/v1/pools"}
	parts := make([]poolPart, 0, len(pools))
	for _, p := range pools {
		snap := p.snapshot(r)
		part, err := p.part(r, snap)
		if err != nil {
			return err
		}
		parts = append(parts, part)
		v.Notices = append(v.Notices, p.notice(snap)...)
	}
	if len(pools) == 1 {
		v.Title = title(pools[0].info)
		v.JSON += "/" + pools[0].info.ID
	}
	v.Body = parts
	return s.pages.render(r, "overview", 200, v)
}

// title names a pool for people.
func title(i *PoolInfo) string { return capital(i.Coin) + " " + i.Network }

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

func (p *poolState) part(r request, snap *snapshot) (poolPart, error) {
	v := &snap.view
	part := poolPart{
		Info: p.now(snap), View: v, Known: !snap.at.IsZero(),
		Chart:   chartOf(v.History, 60, "/api/v1/pools/"+p.info.ID, "Hashrate of "+title(p.info)+" over the last day"),
		Connect: connect{p.info.Stratum, "YOUR_ADDRESS.worker", p.info.Algorithm},
		Effort:  "–", BlockTime: blockTimeText(expectedHashes(v), v.Hashrate),
		Rejected:  rejectShare(v.Accepted, v.Rejected),
		AllBlocks: snap.blocks.total, AllPaid: snap.payouts.total,
	}
	if snap.measured {
		part.Effort = percentText(snap.effort)
	}
	part.Health, part.Healthy = p.health(snap)
	part.Blocks = p.pageBlockRows(r, snap, 0, shownBlocks)
	for _, d := range snap.payouts.rows[:min(len(snap.payouts.rows), shownPayouts)] {
		part.Payouts = append(part.Payouts, payoutRowOf(p.info, d))
	}
	return part, nil
}

// pageBlockRows lists blocks; without their finders when those cannot be read now.
func (p *poolState) pageBlockRows(r request, snap *snapshot, offset, limit int) []blockRow {
	docs, _, err := p.blocks.rows(r.base, snap.head, snap.blocks, offset, limit)
	if err != nil {
		return nil
	}
	rows := make([]blockJSON, 0, len(docs))
	for _, d := range docs {
		rows = append(rows, blockOf(d, snap.view.Height))
	}
	if snap.err == nil {
		if err := p.addFinders(r.base, docs, rows); err != nil {
			p.server.log.Debug().Err(err).Msg("finders of blocks could not be read")
		}
	}
	out := make([]blockRow, len(docs))
	for i, d := range docs {
		out[i] = blockRow{blockJSON: rows[i], Info: p.info, Ms: d.Time, Reward: d.Value, Fee: d.Fee, Carry: d.Carry, Hex: d.Hash.String()}
		if f := rows[i].Finder; f != nil {
			out[i].FinderIs = *f
		}
	}
	return out
}

// Void reports whether the block's reward and credits are no more.
func (b blockRow) Void() bool {
	return b.State == ledger.BlockOrphaned || b.State == ledger.BlockRejected
}

func payoutRowOf(i *PoolInfo, d *payout.BatchDoc) payoutRow {
	row := payoutRow{BatchDoc: d, Info: i}
	if n := len(d.Steps); n > 0 {
		row.Ms = d.Steps[n-1].Time
	}
	if d.TxID != nil {
		row.TxID = d.TxID.String()
	}
	return row
}

// health lists the parts that a pool needs.
func (p *poolState) health(snap *snapshot) (rows []healthRow, healthy bool) {
	add := func(ok bool, name, format string, args ...any) {
		rows = append(rows, healthRow{Name: name, Detail: fmt.Sprintf(format, args...), OK: ok})
	}
	now := p.server.now()
	live, known := p.state(snap)
	for _, n := range live.Nodes {
		switch {
		case n.Up:
			add(true, "Node "+n.Name, "height %s", countText(unsigned(n.Height)))
		case n.Since.IsZero():
			add(false, "Node "+n.Name, "%s", n.Error)
		default:
			add(false, "Node "+n.Name, "down for %s: %s", spanText(now.Sub(n.Since)), n.Error)
		}
	}
	if len(live.Nodes) == 0 {
		add(false, "Node", "none is known")
	}
	switch age := now.Sub(live.Job); {
	case live.Job.IsZero():
		add(false, "Work", "no job to give to miners")
	case age > p.server.opts.MaxJobAge:
		add(false, "Work", "the job in hand is %s old", spanText(age))
	default:
		add(true, "Work", "job of %s", agoText(age.Truncate(time.Second)))
	}
	switch {
	case !known:
		add(false, "Journal", "no edge has reported in the last minute")
	case live.JournalError != "":
		add(false, "Journal", "%s", live.JournalError)
	case live.Backlog > 0:
		add(true, "Journal", "durable, %s shares on their way", countText(live.Backlog))
	default:
		add(true, "Journal", "durable, nothing waiting")
	}
	if snap.err != nil {
		add(false, "Redis", "%v", snap.err)
	} else {
		add(true, "Redis", "answers")
	}
	add(true, "Ledger", "entry %s, term %d", countText(snap.head.Seq), snap.head.Term)
	healthy = true
	for _, row := range rows {
		healthy = healthy && row.OK
	}
	return rows, healthy
}
