package api

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

type minerJSON struct {
	Account     pool.AccountID `json:"account"`
	Address     string         `json:"address"`
	Pool        string         `json:"pool"`
	Shown       ledger.Shown   `json:"shown"`
	Hashrate    float64        `json:"hashrate"`
	Five        float64        `json:"hashrate_5m"`
	Hour        float64        `json:"hashrate_1h"`
	Day         float64        `json:"hashrate_24h"`
	Immature    amountText     `json:"immature"`
	Available   amountText     `json:"available"`
	InPayout    amountText     `json:"in_payout"`
	Paid        amountText     `json:"paid"`
	Threshold   amountText     `json:"payout_threshold"`
	ThresholdBy string         `json:"payout_threshold_by"`
	WindowScore pool.Work      `json:"window_score"`
	WindowTotal pool.Work      `json:"window_total"`
	BestShare   float64        `json:"best_share"`
	Estimate    *estimateJSON  `json:"estimate"`
	Solo        soloJSON       `json:"solo"`
	StoreError  string         `json:"store_error"`
	AsOf        *string        `json:"as_of"`
	Workers     []workerJSON   `json:"workers"`
}

type estimateJSON struct {
	Share   float64    `json:"share"`
	Reward  amountText `json:"reward"`
	Credit  amountText `json:"credit"`
	Seconds float64    `json:"block_seconds"`
}

type soloJSON struct {
	Seconds float64 `json:"seconds"`
	Day     float64 `json:"day"`
	Month   float64 `json:"month"`
	Year    float64 `json:"year"`
}

type workerJSON struct {
	Name       string            `json:"name"`
	Agent      string            `json:"agent"`
	Status     string            `json:"status"`
	Hashrate   float64           `json:"hashrate"`
	Difficulty float64           `json:"difficulty"`
	LastShare  *string           `json:"last_share"`
	BestShare  float64           `json:"best_share"`
	Accepted   uint64            `json:"accepted"`
	Rejected   map[string]uint64 `json:"rejected"`
}

// account finds the account of an address, all of which the client may see.
func account(r web.Request, p *view.Pool, address string) (pool.AccountID, error) {
	id, shown, err := open(r, p, address)
	if err == nil && shown != ledger.ShowAll {
		err = web.Fail{Status: 403, Detail: "the owner of this address shows its hashrates alone; whoever has its key sends it as Authorization: Bearer KEY"}
	}
	return id, err
}

// open finds the account of an address and what of it the client may see.
func open(r web.Request, p *view.Pool, address string) (id pool.AccountID, shown ledger.Shown, err error) {
	script, err := p.Info.Chain.Script(address)
	if err != nil {
		return id, "", web.NotFound(err.Error())
	}
	id = pool.AccountOf(p.Info.ID, script)
	shown, err = p.Open(id, r.Keys())
	if errors.Is(err, view.ErrHidden) {
		err = web.Fail{Status: 403, Detail: err.Error() + "; whoever has its key sends it as Authorization: Bearer KEY"}
	}
	return id, shown, err
}

func (a *API) miner(r web.Request, p *view.Pool, part []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	out, err := a.minerOf(r, p, part[0])
	if err != nil {
		return err
	}
	return r.JSON(out)
}

func (a *API) minerOf(r web.Request, p *view.Pool, address string) (*minerJSON, error) {
	id, shown, err := open(r, p, address)
	if err != nil {
		return nil, err
	}
	x, err := p.Account(id)
	if err != nil {
		return nil, err
	}
	if shown != ledger.ShowAll {
		x = x.Rates()
	}
	now, snap := a.board.Now(), p.Snapshot()
	history, err := p.AccountHistory(id, view.AccountSteps[0])
	if err != nil {
		return nil, err
	}
	odds := view.OddsOf(x.View.Hashrate, view.ExpectedHashes(&snap.View))
	out := &minerJSON{
		Account: id, Address: address, Pool: p.Info.ID, Shown: shown, Hashrate: view.Finite(x.View.Hashrate),
		Five:     view.Finite(x.View.FiveMinutes),
		Hour:     view.Finite(view.Mean(history, view.AccountSteps[0].Every, time.Hour, now)),
		Day:      view.Finite(view.Mean(history, view.AccountSteps[0].Every, 24*time.Hour, now)),
		Immature: amountText(x.Immature), Available: amountText(x.Available),
		InPayout: amountText(x.InPayout), Paid: amountText(x.Paid), Threshold: amountText(x.Threshold(p.Info.Threshold)), WindowScore: x.Score, WindowTotal: x.Total,
		Solo:    soloJSON{odds.Seconds, odds.Day, odds.Month, odds.Year},
		Workers: make([]workerJSON, 0, min(len(x.View.Workers), web.MaxLimit)),
	}
	if x.Terms.Threshold > p.Info.Threshold {
		out.ThresholdBy = x.Terms.By
	}
	if e, ok := p.EstimateOf(snap, x); ok {
		out.Estimate = &estimateJSON{e.Share, amountText(e.Reward), amountText(e.Credit), e.Every}
	}
	if x.View.Address != "" {
		out.Address = x.View.Address
	}
	if x.Err != nil {
		out.StoreError, out.AsOf = x.Err.Error(), timeText(x.At)
	}
	for i := range x.View.Workers {
		w := &x.View.Workers[i]
		out.BestShare = max(out.BestShare, view.Finite(w.BestShare))
		if i < web.MaxLimit {
			out.Workers = append(out.Workers, workerOf(w, now))
		}
	}
	return out, nil
}

func workerOf(w *pool.WorkerView, now time.Time) workerJSON {
	return workerJSON{
		Name: w.Name, Agent: w.Agent, Status: view.WorkerStatus(w, now), Hashrate: view.Finite(w.Hashrate), Difficulty: view.Finite(w.Difficulty),
		LastShare: milliText(w.LastShare), BestShare: view.Finite(w.BestShare), Accepted: w.Accepted, Rejected: orNone(w.Rejected),
	}
}

func (a *API) minerHistory(r web.Request, p *view.Pool, part []string) error {
	q, err := r.Query("step", "format")
	if err != nil {
		return err
	}
	step, err := stepOf(q, view.AccountSteps)
	if err != nil {
		return err
	}
	id, shown, err := open(r, p, part[0])
	if err != nil {
		return err
	}
	points, err := p.AccountHistory(id, step)
	if err != nil {
		return err
	}
	if shown != ledger.ShowAll {
		points = view.RatesOf(points)
	}
	return answerHistory(r, q, p.Info.ID+"-"+part[0], step, points)
}

func (a *API) workers(r web.Request, p *view.Pool, part []string) error {
	limit, cursor, csv, err := page(r)
	if err != nil {
		return err
	}
	id, err := account(r, p, part[0])
	if err != nil {
		return err
	}
	x, err := p.Account(id)
	if err != nil {
		return err
	}
	all := x.View.Workers // by name; the cursor is "=" and the last name shown
	from := 0
	if cursor != "" {
		name, ok := strings.CutPrefix(cursor, "=")
		if !ok {
			return web.BadRequest("that is no cursor of this list")
		}
		from = sort.Search(len(all), func(i int) bool { return all[i].Name > name })
	}
	if csv {
		from, limit = 0, len(all)
	}
	to := min(from+limit, len(all))
	rows := make([]workerJSON, 0, to-from)
	for i := range all[from:to] {
		rows = append(rows, workerOf(&all[from+i], a.board.Now()))
	}
	if csv {
		header := []string{"name", "status", "hashrate_hs", "difficulty", "last_share", "best_share", "accepted"}
		for _, reason := range pool.Rejects() {
			header = append(header, "rejected_"+reason.String())
		}
		var table [][]string
		for _, w := range rows {
			row := []string{w.Name, w.Status, fmt.Sprintf("%.0f", w.Hashrate), fmt.Sprint(w.Difficulty), orDash(w.LastShare), fmt.Sprint(w.BestShare), fmt.Sprint(w.Accepted)}
			for _, reason := range pool.Rejects() {
				row = append(row, fmt.Sprint(w.Rejected[reason.String()]))
			}
			table = append(table, append(row, w.Agent))
		}
		return r.CSV(p.Info.ID+"-workers", append(header, "agent"), table)
	}
	next := ""
	if to < len(all) && to > 0 {
		next = "=" + all[to-1].Name
	}
	return r.JSON(struct {
		Workers []workerJSON `json:"workers"`
		Total   int          `json:"total"`
		Next    *string      `json:"next"`
	}{rows, len(all), orNull(next)})
}

// workerName reads a worker's name in a path: "~", which no name can hold, is the one without a name.
func workerName(part string) string {
	if part == "~" {
		return ""
	}
	return part
}

func (a *API) worker(r web.Request, p *view.Pool, part []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	id, err := account(r, p, part[0])
	if err != nil {
		return err
	}
	x, err := p.Account(id)
	if err != nil {
		return err
	}
	w := x.Worker(workerName(part[1]))
	if w == nil {
		return web.NotFound(fmt.Sprintf("no worker %.80q of this account in the last day", part[1]))
	}
	return r.JSON(workerOf(w, a.board.Now()))
}

func (a *API) workerHistory(r web.Request, p *view.Pool, part []string) error {
	q, err := r.Query("format")
	if err != nil {
		return err
	}
	id, err := account(r, p, part[0])
	if err != nil {
		return err
	}
	points, err := p.WorkerHistory(id, workerName(part[1]))
	if err != nil {
		return err
	}
	return answerHistory(r, q, p.Info.ID+"-"+part[0]+"-"+part[1], view.WorkerSteps[0], points)
}
