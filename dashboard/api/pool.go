package api

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
)

type poolJSON struct {
	ID                string            `json:"id"`
	Coin              string            `json:"coin"`
	Network           string            `json:"network"`
	Symbol            string            `json:"symbol"`
	Decimals          int               `json:"decimals"`
	Scheme            string            `json:"scheme"`
	PPLNSN            string            `json:"pplns_n"`
	FeePPM            uint32            `json:"fee_ppm"`
	PayoutThreshold   amountText        `json:"payout_threshold"`
	RewardAddress     string            `json:"reward_address"`
	Maturity          int64             `json:"maturity"`
	Stratum           []listenerJSON    `json:"stratum"`
	Hashrate          float64           `json:"hashrate"`
	Miners            int               `json:"miners"`
	Workers           int               `json:"workers"`
	Sessions          int               `json:"sessions"`
	Height            int64             `json:"height"`
	NetworkDifficulty float64           `json:"network_difficulty"`
	NetworkWork       string            `json:"network_work"`
	JobTime           *string           `json:"job_time"`
	Effort            *float64          `json:"effort"`
	Backlog           uint64            `json:"backlog"`
	JournalError      string            `json:"journal_error"`
	Accepted          uint64            `json:"accepted"`
	Rejected          map[string]uint64 `json:"rejected"`
	Nodes             []nodeJSON        `json:"nodes"`
	Ledger            ledgerJSON        `json:"ledger"`
	Failed            []view.Failure    `json:"failed"`
	StoreError        string            `json:"store_error"`
	AsOf              *string           `json:"as_of"`
}

type listenerJSON struct {
	URL     string  `json:"url"`
	TLS     bool    `json:"tls"`
	Start   float64 `json:"start_difficulty"`
	Minimum float64 `json:"minimum_difficulty"`
}

type nodeJSON struct {
	Name   string  `json:"name"`
	Up     bool    `json:"up"`
	Height int64   `json:"height"`
	Error  string  `json:"error"`
	Since  *string `json:"since"`
}

type ledgerJSON struct {
	Seq  uint64 `json:"seq"`
	Term uint64 `json:"term"`
	Head string `json:"head"`
}

func (a *API) pools(r web.Request) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	out := struct {
		Pools []poolJSON `json:"pools"`
	}{make([]poolJSON, 0, len(a.board.Pools))}
	for _, p := range a.board.Pools {
		out.Pools = append(out.Pools, poolOf(p, p.Snapshot()))
	}
	return r.JSON(out)
}

func (a *API) pool(r web.Request, p *view.Pool, _ []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	return r.JSON(poolOf(p, p.Snapshot()))
}

func poolOf(p *view.Pool, snap *view.Snapshot) poolJSON {
	i, v := p.Now(snap), &snap.View
	live, _ := p.State(snap)
	out := poolJSON{
		ID: i.ID, Coin: i.Coin, Network: i.Network, Symbol: i.Symbol, Decimals: i.Decimals,
		Scheme: i.Scheme, PPLNSN: i.PPLNSN, FeePPM: i.FeePPM, PayoutThreshold: amountText(i.Threshold),
		RewardAddress: i.RewardAddress, Maturity: i.Maturity, Stratum: make([]listenerJSON, 0, len(i.Stratum)),
		Hashrate: view.Finite(v.Hashrate), Miners: v.Miners, Workers: v.Workers, Sessions: live.Sessions,
		Height: v.Height, NetworkDifficulty: view.Finite(v.NetworkDifficulty), NetworkWork: v.NetworkWork,
		JobTime: timeText(live.Job), Backlog: live.Backlog, JournalError: live.JournalError,
		Accepted: v.Accepted, Rejected: orNone(v.Rejected), Nodes: nodesOf(live.Nodes),
		Ledger: ledgerJSON{snap.Head.Seq, snap.Head.Term, hex.EncodeToString(snap.Head.Hash[:])},
		Failed: orEmpty(p.Failures(snap)),
	}
	for _, l := range i.Stratum {
		out.Stratum = append(out.Stratum, listenerJSON{l.URL, l.TLS, l.Start, l.Minimum})
	}
	if out.NetworkWork == "" {
		out.NetworkWork = "0"
	}
	if snap.Measured {
		out.Effort = &snap.Effort
	}
	if snap.Err != nil {
		out.StoreError, out.AsOf = snap.Err.Error(), timeText(snap.At)
	}
	return out
}

func nodesOf(nodes []pool.NodeReport) []nodeJSON {
	out := make([]nodeJSON, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, nodeJSON{n.Name, n.Up, n.Height, n.Error, timeText(n.Since)})
	}
	return out
}

type historyJSON struct {
	Step   int64       `json:"step"`
	Points []pointJSON `json:"points"`
}

type pointJSON struct {
	Time     string            `json:"time"`
	Hashrate float64           `json:"hashrate"`
	Workers  int               `json:"workers"`
	Accepted uint64            `json:"accepted"`
	Rejected map[string]uint64 `json:"rejected"`
}

// stepOf chooses a resolution by its name; "" is the finest.
func stepOf(q map[string]string, steps []view.Step) (view.Step, error) {
	var names []string
	for _, s := range steps {
		if q["step"] == s.Name || q["step"] == "" {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return view.Step{}, web.BadRequest("step must be one of " + strings.Join(names, ", "))
}

// asCSV reports whether a table is asked for as a file.
func asCSV(q map[string]string) (bool, error) {
	switch q["format"] {
	case "", "json":
		return false, nil
	case "csv":
		return true, nil
	}
	return false, web.BadRequest("format must be json or csv")
}

func (a *API) poolHistory(r web.Request, p *view.Pool, _ []string) error {
	q, err := r.Query("step", "format")
	if err != nil {
		return err
	}
	step, err := stepOf(q, view.PoolSteps)
	if err != nil {
		return err
	}
	points, err := p.PoolHistory(step)
	if err != nil {
		return err
	}
	return answerHistory(r, q, p.Info.ID, step, points)
}

func answerHistory(r web.Request, q map[string]string, name string, step view.Step, points []pool.HistoryPoint) error {
	csv, err := asCSV(q)
	if err != nil {
		return err
	}
	if csv {
		rows := make([][]string, 0, len(points))
		header := []string{"time", "hashrate_hs", "workers", "accepted"}
		for _, reason := range pool.Rejects() {
			header = append(header, "rejected_"+reason.String())
		}
		header = append(header, "rejected_other")
		for _, h := range points {
			row := []string{secondText(h.Time), strconv.FormatFloat(view.Finite(h.Hashrate), 'f', -1, 64), strconv.Itoa(h.Workers), fmt.Sprint(h.Accepted)}
			for _, reason := range pool.Rejects() {
				row = append(row, fmt.Sprint(h.Rejected[reason.String()]))
			}
			rows = append(rows, append(row, fmt.Sprint(h.Rejected["other"])))
		}
		return r.CSV(name+"-history-"+step.Name, header, rows)
	}
	out := historyJSON{Step: int64(step.Every / time.Second), Points: make([]pointJSON, 0, len(points))}
	for _, h := range points {
		out.Points = append(out.Points, pointJSON{secondText(h.Time), view.Finite(h.Hashrate), h.Workers, h.Accepted, orNone(h.Rejected)})
	}
	return r.JSON(out)
}

type luckJSON struct {
	Name     string  `json:"name"`
	Found    int     `json:"found"`
	Expected float64 `json:"expected"`
	Luck     float64 `json:"luck"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

func (a *API) luck(r web.Request, p *view.Pool, _ []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	windows, err := p.Luck(p.Snapshot())
	if err != nil {
		return err
	}
	out := struct {
		Windows []luckJSON `json:"windows"`
	}{make([]luckJSON, 0, len(windows))}
	for _, l := range windows {
		out.Windows = append(out.Windows, luckJSON{l.Name, l.Found, l.Expected, l.Ratio(), l.Low, l.High})
	}
	return r.JSON(out)
}

func (a *API) leaders(r web.Request, p *view.Pool, _ []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	l, err := p.Leaders()
	if err != nil {
		return err
	}
	type rate struct {
		Address  string  `json:"address"`
		Hashrate float64 `json:"hashrate"`
	}
	type share struct {
		Address    string  `json:"address"`
		Difficulty float64 `json:"difficulty"`
	}
	out := struct {
		Rates  []rate  `json:"rates"`
		Shares []share `json:"shares"`
	}{[]rate{}, []share{}}
	for _, x := range l.Rates {
		out.Rates = append(out.Rates, rate{x.Address, view.Finite(x.Value)})
	}
	for _, x := range l.Shares {
		out.Shares = append(out.Shares, share{x.Address, view.Finite(x.Value)})
	}
	return r.JSON(out)
}

type rejectJSON struct {
	Name    string `json:"name"`
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (a *API) rejects(r web.Request) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	out := struct {
		Rejects []rejectJSON `json:"rejects"`
	}{}
	for _, x := range pool.Rejects() {
		out.Rejects = append(out.Rejects, rejectJSON{x.String(), x.Code(), x.Message()})
	}
	return r.JSON(out)
}

type statusPool struct {
	ID           string     `json:"id"`
	Height       int64      `json:"height"`
	JobAge       *float64   `json:"job_age"`
	Sessions     int        `json:"sessions"`
	Backlog      uint64     `json:"backlog"`
	JournalError string     `json:"journal_error"`
	Nodes        []nodeJSON `json:"nodes"`
	LedgerSeq    uint64     `json:"ledger_seq"`
	LedgerTerm   uint64     `json:"ledger_term"`
	StoreAge     *float64   `json:"store_age"`
}

func (a *API) status(r web.Request) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	now := a.board.Now()
	out := struct {
		Version string         `json:"version"`
		Time    *string        `json:"time"`
		Started *string        `json:"started"`
		Ready   bool           `json:"ready"`
		Failed  []view.Failure `json:"failed"`
		Pools   []statusPool   `json:"pools"`
	}{Version: a.version, Time: timeText(now), Started: timeText(a.started), Failed: []view.Failure{}}
	for _, p := range a.board.Pools {
		snap := p.Snapshot()
		live, _ := p.State(snap)
		s := statusPool{ID: p.Info.ID, Height: snap.View.Height, Sessions: live.Sessions, Backlog: live.Backlog, JournalError: live.JournalError,
			Nodes: nodesOf(live.Nodes), LedgerSeq: snap.Head.Seq, LedgerTerm: snap.Head.Term}
		if !live.Job.IsZero() {
			age := now.Sub(live.Job).Seconds()
			s.JobAge = &age
		}
		if !snap.At.IsZero() {
			age := now.Sub(snap.At).Seconds()
			s.StoreAge = &age
		}
		out.Pools = append(out.Pools, s)
		out.Failed = append(out.Failed, p.Failures(snap)...)
	}
	out.Ready = len(out.Failed) == 0
	return r.JSON(out)
}
