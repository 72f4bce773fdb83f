package dashboard

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/locale"
	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

const (
	shownCredits = 12  // a user's newest credits and payouts on the page
	shownWorkers = 100 // on the page; the rest is in the API
)

func escaped(s string) string { return url.QueryEscape(s) }

// userPart is one address in one pool.
type userPart struct {
	Info         *view.PoolInfo
	Whole        bool // else hashrates alone
	Source       string
	Account      *view.Account
	ID           string
	Hour, Day    float64 // mean hashrates
	Chart        chart
	Connect      connect
	Active       bool // it has sent shares or has had money
	Share        float64
	ToPayout     float64 // available against the threshold, at most 1
	Odds         view.Odds
	Best         float64 // difficulty of its best share
	Network      float64 // difficulty
	Estimate     *view.Estimate
	Groups       []workerGroup
	Hidden       int // workers that are not shown
	Online       int
	Accepted     uint64
	Rejected     map[string]uint64
	RejectedPart float64
	Credits      []userCredit
	Payouts      []userPayout
	CreditTotal  int // that the store keeps
	PaidTotal    int
}

// workerGroup are workers whose names begin alike.
type workerGroup struct {
	Name     string // "" for the only group
	Hashrate float64
	Online   int
	Workers  []workerRow
}

type workerRow struct {
	*pool.WorkerView
	Address, Status string
	RejectedPart    float64
}

type userCredit struct {
	blockRow
	Amount pool.Amount
	Share  float64 // of the window; below 0: not known
}

type userPayout struct {
	payoutRow
	Amount pool.Amount
	Note   string
}

// pageUser shows an address in every pool where it is valid.
func (s *Server) pageUser(r web.Request, address string) error {
	q, err := r.Query("key")
	if err != nil {
		return err
	}
	if key := q["key"]; web.GoodKey(key) { // from now on by cookie: an address with the key in it would be passed on
		r.KeepKey(key)
		return r.RedirectTo(userPath(address))
	}
	l := s.pages.language(r)
	v := page{Title: l.T("Miner %s", shortened(address, 10, 8)), Address: address, Live: true}
	var parts []userPart
	var refused []string
	var missing error
	for _, p := range s.board.Pools {
		script, err := p.Info.Chain.Script(address)
		if err != nil {
			refused = append(refused, title(p.Info)+": "+err.Error())
			continue
		}
		id, snap := pool.AccountOf(p.Info.ID, script), p.Snapshot()
		shown, err := p.Open(id, r.Keys())
		if err != nil {
			missing = hidden(err)
			continue
		}
		part, err := s.user(l, p, snap, address, id, shown)
		if err != nil {
			missing = err
			continue
		}
		parts = append(parts, part)
		v.JSON = part.Source
		v.Notices = append(v.Notices, notice(l, p, snap)...)
	}
	switch {
	case len(parts) == 0 && missing != nil:
		return missing
	case len(parts) == 0:
		return web.NotFound(fmt.Sprintf("%.120q: %s", address, strings.Join(refused, "; ")))
	}
	v.Body = struct {
		Address string
		Parts   []userPart
	}{address, parts}
	return s.pages.render(r, "user", 200, v)
}

// hidden is what is told when an account is not shown.
func hidden(err error) error {
	if errors.Is(err, view.ErrHidden) {
		return web.NotFound("The owner of this address shows it only to who has its link.")
	}
	return err
}

func (s *Server) user(l *locale.Locale, p *view.Pool, snap *view.Snapshot, address string, id pool.AccountID, shown ledger.Shown) (userPart, error) {
	a, err := p.Account(id)
	if err != nil {
		return userPart{}, err
	}
	if shown != ledger.ShowAll {
		a = a.Rates()
	}
	now, step := s.now(), view.AccountSteps[0]
	history, err := p.AccountHistory(id, step)
	if err != nil {
		s.log.Debug().Err(err).Msg("a history could not be read")
	}
	if shown != ledger.ShowAll {
		history = view.RatesOf(history)
	}
	source := "/api/v1/pools/" + p.Info.ID + "/miners/" + url.PathEscape(address)
	part := userPart{Whole: shown == ledger.ShowAll,
		Info: p.Now(snap), Source: source, Account: a, ID: id.String(),
		Hour: view.Mean(history, step.Every, time.Hour, now), Day: view.Mean(history, step.Every, 24*time.Hour, now),
		Chart:   chartOf(history, 600, source+"/history", "10m 1d", l.T("Hashrate of this address in %s over the last week", title(p.Info))),
		Connect: connect{p.Info.Stratum, address + ".worker", p.Info.Algorithm},
		Odds:    view.OddsOf(a.View.Hashrate, view.ExpectedHashes(&snap.View)), Network: snap.View.NetworkDifficulty,
		Rejected: make(map[string]uint64),
	}
	if !a.Total.IsZero() {
		part.Share = min(view.Finite(a.Score.Float64()/a.Total.Float64()), 1)
	}
	if e, ok := p.EstimateOf(snap, a); ok {
		part.Estimate = &e
	}
	if least := a.Threshold(p.Info.Threshold); least > 0 {
		part.ToPayout = min(max(float64(a.Available)/float64(least), 0), 1)
	}
	part.addWorkers(address, now)
	if !part.Whole {
		part.Active = true
		return part, nil
	}
	if err := part.addMoney(p, snap, id); err != nil {
		s.log.Debug().Err(err).Msg("credits or payouts of an account could not be read")
	}
	for _, d := range snap.Payouts.Docs {
		for _, y := range d.Held {
			if y.Account == id && len(part.Payouts) < shownCredits {
				part.Payouts = append(part.Payouts, userPayout{payoutRowOf(p.Info, d), y.Amount, l.T("held: %s", y.Reason)})
			}
		}
	}
	part.Active = len(a.View.Workers)+len(history)+len(part.Credits)+len(part.Payouts) > 0 ||
		a.Immature|a.Available|a.InPayout|a.Paid != 0 || !a.Score.IsZero()
	return part, nil
}

// addMoney reads the newest credits and payouts.
func (u *userPart) addMoney(p *view.Pool, snap *view.Snapshot, id pool.AccountID) error {
	credits, err := p.Credits(id, "", shownCredits)
	if err != nil {
		return err
	}
	for i := range credits.Rows {
		c := &credits.Rows[i]
		u.Credits = append(u.Credits, userCredit{blockRow{c.Block, p.Info, view.Confirmations(c.Block, snap.View.Height), "", -1}, c.Amount, view.PartOf(c)})
	}
	paid, err := p.Paid(id, "", shownCredits)
	if err != nil {
		return err
	}
	for _, y := range paid.Rows {
		u.Payouts = append(u.Payouts, userPayout{payoutRowOf(p.Info, y.Doc), y.Amount, ""})
	}
	u.CreditTotal, u.PaidTotal = credits.Total, paid.Total
	return nil
}

// addWorkers sorts workers into groups by the first part of their names, where that makes fewer of them.
func (u *userPart) addWorkers(address string, now time.Time) {
	workers := u.Account.View.Workers
	groups := make(map[string]*workerGroup)
	for i := range workers {
		w := &workers[i]
		row := workerRow{w, address, view.WorkerStatus(w, now), rejectShare(w.Accepted, w.Rejected)}
		u.Best = max(u.Best, w.BestShare)
		u.Accepted += w.Accepted
		for reason, n := range w.Rejected {
			u.Rejected[reason] += n
		}
		prefix := ""
		if at := strings.IndexAny(w.Name, ".-_"); at > 0 {
			prefix = w.Name[:at]
		}
		g := groups[prefix]
		if g == nil {
			g = &workerGroup{Name: prefix}
			groups[prefix] = g
		}
		if row.Status != view.WorkerOffline {
			g.Online++
			u.Online++
		}
		g.Hashrate += w.Hashrate
		g.Workers = append(g.Workers, row)
	}
	u.RejectedPart = rejectShare(u.Accepted, u.Rejected)
	if len(groups) < 2 || len(groups) > len(workers)/2 {
		all := &workerGroup{}
		for _, g := range groups {
			all.Workers = append(all.Workers, g.Workers...)
		}
		groups = map[string]*workerGroup{"": all}
	}
	left := shownWorkers
	for _, g := range groups {
		slices.SortFunc(g.Workers, func(a, b workerRow) int { return strings.Compare(a.Name, b.Name) })
		u.Groups = append(u.Groups, *g)
	}
	slices.SortFunc(u.Groups, func(a, b workerGroup) int { return strings.Compare(a.Name, b.Name) })
	for i := range u.Groups {
		g := &u.Groups[i]
		shown := min(len(g.Workers), left)
		u.Hidden += len(g.Workers) - shown
		g.Workers, left = g.Workers[:shown], left-shown
	}
}

// workerPart is one worker in one pool.
type workerPart struct {
	workerRow
	Info   *view.PoolInfo
	Source string
	Chart  chart
}

// pageWorker shows one worker in every pool where it is known.
func (s *Server) pageWorker(r web.Request, address, part string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	l, name := s.pages.language(r), part
	if part == "~" {
		name = ""
	}
	v := page{Title: l.T("Worker %s", name), Address: address, Live: true}
	var parts []workerPart
	var missing error
	for _, p := range s.board.Pools {
		script, err := p.Info.Chain.Script(address)
		if err != nil {
			continue
		}
		id := pool.AccountOf(p.Info.ID, script)
		shown, err := p.Open(id, r.Keys())
		if err == nil && shown != ledger.ShowAll {
			err = view.ErrHidden
		}
		if err != nil {
			missing = hidden(err)
			continue
		}
		a, err := p.Account(id)
		if err != nil {
			return err
		}
		w := a.Worker(name)
		if w == nil {
			continue
		}
		history, err := p.WorkerHistory(id, name)
		if err != nil {
			s.log.Debug().Err(err).Msg("a history could not be read")
		}
		source := "/api/v1/pools/" + p.Info.ID + "/miners/" + url.PathEscape(address) + "/workers/" + url.PathEscape(part)
		parts = append(parts, workerPart{
			workerRow: workerRow{w, address, view.WorkerStatus(w, s.now()), rejectShare(w.Accepted, w.Rejected)}, Info: p.Info, Source: source,
			Chart: chartOf(history, 600, source+"/history", "", l.T("Hashrate of this worker in %s over two days", title(p.Info))),
		})
		v.JSON = source
		v.Notices = append(v.Notices, notice(l, p, p.Snapshot())...)
	}
	if len(parts) == 0 && missing != nil {
		return missing
	}
	if len(parts) == 0 {
		return web.NotFound("This address has no worker of that name, or it was not here in the last day.")
	}
	v.Body = struct {
		Address, Name string
		Parts         []workerPart
	}{address, name, parts}
	return s.pages.render(r, "worker", 200, v)
}
