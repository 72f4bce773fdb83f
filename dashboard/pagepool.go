package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/adit-pool/adit/dashboard/locale"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
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
	Info      *view.PoolInfo
	View      *pool.PoolView
	Known     bool // values were read at least once
	Whole     bool // the page is of this pool alone
	Chart     chart
	Connect   connect
	Effort    float64 // below 0: not known
	BlockTime float64 // seconds
	Rejected  float64
	Health    []healthRow
	Healthy   bool
	Blocks    []blockRow
	AllBlocks int
	Payouts   []payoutRow
	AllPaid   int
	Luck      luckPart
}

// connect is how to point a rig at a pool.
type connect struct {
	Stratum   []view.Listener
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
	*ledger.BlockDoc
	Info          *view.PoolInfo
	Confirmations int64
	Finder        string
	Effort        float64 // below 0: not known
}

// Void reports whether the block's reward and credits are no more.
func (b blockRow) Void() bool {
	return b.State == ledger.BlockOrphaned || b.State == ledger.BlockRejected
}

// payoutRow is one payout on a page.
type payoutRow struct {
	*payout.BatchDoc
	Info *view.PoolInfo
	Ms   int64
	Hash string
}

func (s *Server) pageOverview(r web.Request, pools []*view.Pool) error {
	l := s.pages.language(r)
	v := page{Title: l.T("Overview"), JSON: "/api/v1/pools", Live: true}
	parts := make([]poolPart, 0, len(pools))
	for _, p := range pools {
		snap := p.Snapshot()
		part := s.part(l, p, snap)
		part.Whole = len(pools) == 1
		parts = append(parts, part)
		v.Notices = append(v.Notices, notice(l, p, snap)...)
	}
	if len(pools) == 1 {
		v.Title = title(pools[0].Info)
		v.JSON += "/" + pools[0].Info.ID
	}
	v.Body = parts
	return s.pages.render(r, "overview", 200, v)
}

func (s *Server) part(l *locale.Locale, p *view.Pool, snap *view.Snapshot) poolPart {
	v := &snap.View
	part := poolPart{
		Info: p.Now(snap), View: v, Known: !snap.At.IsZero(),
		Chart:   chartOf(v.History, 60, "/api/v1/pools/"+p.Info.ID+"/history", "1m 10m 1h", l.T("Hashrate of %s over the last day", title(p.Info))),
		Connect: connect{p.Info.Stratum, "YOUR_ADDRESS.worker", p.Info.Algorithm},
		Effort:  -1, BlockTime: view.OddsOf(v.Hashrate, view.ExpectedHashes(v)).Seconds,
		Rejected:  rejectShare(v.Accepted, v.Rejected),
		AllBlocks: snap.Blocks.Total, AllPaid: snap.Payouts.Total,
	}
	if snap.Measured {
		part.Effort = snap.Effort
	}
	part.Health, part.Healthy = s.health(l, p, snap)
	part.Blocks = s.blockRows(p, snap, snap.Blocks.Docs)
	part.Blocks = part.Blocks[:min(len(part.Blocks), shownBlocks)]
	for _, d := range snap.Payouts.Docs[:min(len(snap.Payouts.Docs), shownPayouts)] {
		part.Payouts = append(part.Payouts, payoutRowOf(p.Info, d))
	}
	var err error
	part.Luck.Trivial = snap.Trivial
	if part.Luck.Windows, err = p.Luck(snap); err != nil {
		s.log.Debug().Err(err).Msg("luck could not be read")
	}
	return part
}

// luckPart is the table of luck, or that there can be none.
type luckPart struct {
	Trivial bool
	Windows []view.Luck
}

// blockRows makes rows of documents; without their finders when those cannot be read now.
func (s *Server) blockRows(p *view.Pool, snap *view.Snapshot, docs []*ledger.BlockDoc) []blockRow {
	finders := make([]string, len(docs))
	if snap.Err == nil {
		known, err := p.Finders(docs)
		if err == nil {
			finders = known
		} else {
			s.log.Debug().Err(err).Msg("finders of blocks could not be read")
		}
	}
	efforts := p.Efforts(snap, docs)
	out := make([]blockRow, len(docs))
	for i, d := range docs {
		out[i] = blockRow{d, p.Info, view.Confirmations(d, snap.View.Height), finders[i], efforts[i]}
	}
	return out
}

func payoutRowOf(i *view.PoolInfo, d *payout.BatchDoc) payoutRow {
	row := payoutRow{BatchDoc: d, Info: i}
	if n := len(d.Steps); n > 0 {
		row.Ms = d.Steps[n-1].Time
	}
	if d.TxID != nil {
		row.Hash = d.TxID.String()
	}
	return row
}

// health lists the parts that a pool needs.
func (s *Server) health(l *locale.Locale, p *view.Pool, snap *view.Snapshot) (rows []healthRow, healthy bool) {
	add := func(ok bool, name, detail string) { rows = append(rows, healthRow{Name: name, Detail: detail, OK: ok}) }
	now := s.now()
	live, known := p.State(snap)
	for _, n := range live.Nodes {
		name := l.T("Node %s", n.Name)
		switch {
		case n.Up:
			add(true, name, l.T("height %s", l.Count(unsigned(n.Height))))
		case n.Since.IsZero():
			add(false, name, n.Error)
		default:
			add(false, name, l.T("down for %s", l.Span(now.Sub(n.Since)))+": "+n.Error)
		}
	}
	if len(live.Nodes) == 0 {
		add(false, l.T("Node"), l.T("none is known"))
	}
	switch age := now.Sub(live.Job); {
	case live.Job.IsZero():
		add(false, l.T("Work"), l.T("no job to give to miners"))
	case age > s.maxJobAge():
		add(false, l.T("Work"), l.T("the job in hand is %s old", l.Span(age)))
	default:
		add(true, l.T("Work"), l.T("job of %s", l.Ago(age.Truncate(time.Second))))
	}
	switch {
	case !known:
		add(false, l.T("Journal"), l.T("no edge has reported in the last minute"))
	case live.JournalError != "":
		add(false, l.T("Journal"), live.JournalError)
	case live.Backlog > 0:
		add(true, l.T("Journal"), l.T("durable, %s shares on their way", l.Count(live.Backlog)))
	default:
		add(true, l.T("Journal"), l.T("durable, nothing waiting"))
	}
	if snap.Err != nil {
		add(false, "Redis", snap.Err.Error())
	} else {
		add(true, "Redis", l.T("answers"))
	}
	add(true, l.T("Ledger"), l.T("entry %s, term %d", l.Count(snap.Head.Seq), snap.Head.Term))
	healthy = true
	for _, row := range rows {
		healthy = healthy && row.OK
	}
	return rows, healthy
}

func (s *Server) maxJobAge() time.Duration {
	if s.opts.MaxJobAge > 0 {
		return s.opts.MaxJobAge
	}
	return 5 * time.Minute
}

// listPart is a page of a list.
type listPart struct {
	Info    *view.PoolInfo
	Blocks  []blockRow
	Payouts []payoutRow
	Luck    luckPart
	Total   int
	First   string // address of the first page, "" on it
	Next    string // address of the next page, "" at the end
	File    string // of the page as CSV
}

// list reads a list page's query.
func (s *Server) list(r web.Request, p *view.Pool, path, source string) (part listPart, limit int, cursor, api string, err error) {
	q, err := r.Query("limit", "cursor")
	if err != nil {
		return part, 0, "", "", err
	}
	if limit, cursor, err = web.Page(q); err != nil {
		return part, 0, "", "", err
	}
	part.Info = p.Info
	api = fmt.Sprintf("/api/v1/pools/%s/%s?limit=%d", p.Info.ID, source, limit)
	if cursor != "" {
		part.First = fmt.Sprintf("/%s/%s?limit=%d", p.Info.ID, path, limit)
		api += "&cursor=" + escaped(cursor)
	}
	part.File = api + "&format=csv"
	return part, limit, cursor, api, nil
}

func nextPage(i *view.PoolInfo, path string, limit int, next string) string {
	if next == "" {
		return ""
	}
	return fmt.Sprintf("/%s/%s?limit=%d&cursor=%s", i.ID, path, limit, escaped(next))
}

func (s *Server) pageBlocks(r web.Request, p *view.Pool) error {
	part, limit, cursor, api, err := s.list(r, p, "blocks", "blocks")
	if err != nil {
		return err
	}
	snap := p.Snapshot()
	rows, err := p.Blocks.Page(snap, cursor, limit)
	if p.BadCursor(err) {
		return web.BadRequest("That is no page of this list.")
	}
	if err != nil && cursor == "" {
		rows, err = snap.Blocks, nil
	}
	if err != nil {
		return err
	}
	part.Blocks = s.blockRows(p, snap, rows.Docs)
	part.Total, part.Next = rows.Total, nextPage(p.Info, "blocks", limit, rows.Next)
	part.Luck.Trivial = snap.Trivial
	if part.Luck.Windows, err = p.Luck(snap); err != nil {
		s.log.Debug().Err(err).Msg("luck could not be read")
	}
	l := s.pages.language(r)
	return s.pages.render(r, "blocks", 200, page{Title: l.T("Blocks of %s", title(p.Info)), Notices: notice(l, p, snap), Body: part, JSON: api, Live: true})
}

func (s *Server) pagePayments(r web.Request, p *view.Pool) error {
	part, limit, cursor, api, err := s.list(r, p, "payments", "payouts")
	if err != nil {
		return err
	}
	snap := p.Snapshot()
	rows, err := p.Payouts.Page(snap, cursor, limit)
	if p.BadCursor(err) {
		return web.BadRequest("That is no page of this list.")
	}
	if err != nil && cursor == "" {
		rows, err = snap.Payouts, nil
	}
	if err != nil {
		return err
	}
	for _, d := range rows.Docs {
		part.Payouts = append(part.Payouts, payoutRowOf(p.Info, d))
	}
	part.Total, part.Next = rows.Total, nextPage(p.Info, "payments", limit, rows.Next)
	l := s.pages.language(r)
	return s.pages.render(r, "payments", 200, page{Title: l.T("Payouts of %s", title(p.Info)), Notices: notice(l, p, snap), Body: part, JSON: api, Live: true})
}

func (s *Server) pageLeaders(r web.Request, p *view.Pool) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	leaders, err := p.Leaders()
	if err != nil {
		return err
	}
	l, snap := s.pages.language(r), p.Snapshot()
	return s.pages.render(r, "leaders", 200, page{Title: l.T("Leaders of %s", title(p.Info)), Notices: notice(l, p, snap), Body: struct {
		Info *view.PoolInfo
		*view.Leaders
	}{p.Info, leaders}, JSON: "/api/v1/pools/" + p.Info.ID + "/leaders", Live: true})
}

// rejectCount is how often shares were refused for one reason.
type rejectCount struct {
	Reason string
	Count  uint64
}

// Known reports a reason that has a page of its own.
func (c rejectCount) Known() bool { return rejectNamed(c.Reason) != nil }

// reasons lists the reasons that occurred, most frequent first.
func reasons(m map[string]uint64) []rejectCount {
	var out []rejectCount
	for _, reason := range slices.Sorted(maps.Keys(m)) {
		if m[reason] > 0 {
			out = append(out, rejectCount{reason, m[reason]})
		}
	}
	slices.SortStableFunc(out, func(a, b rejectCount) int {
		switch {
		case a.Count > b.Count:
			return -1
		case a.Count < b.Count:
			return 1
		}
		return 0
	})
	return out
}

// rejectShare is the part of all shares that was refused.
func rejectShare(accepted uint64, rejected map[string]uint64) float64 {
	var n uint64
	for _, v := range rejected {
		n += v
	}
	if n == 0 {
		return 0
	}
	return float64(n) / (float64(n) + float64(accepted))
}
