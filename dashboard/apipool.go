package dashboard

import (
	"encoding/hex"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/adit-pool/adit/pool"
)

// amountText is money in JSON: base units as a decimal string.
type amountText pool.Amount

// MarshalText writes base units.
func (a amountText) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(a), 10), nil }

// poolJSON is one pool in the API. Hashrates are hashes per second, money is base units as strings, times
// are RFC 3339 in UTC.
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
	Stratum           []string          `json:"stratum"`
	Hashrate          float64           `json:"hashrate"`
	Miners            int               `json:"miners"`
	Workers           int               `json:"workers"`
	Sessions          int               `json:"sessions"`
	Height            int64             `json:"height"`
	NetworkDifficulty float64           `json:"network_difficulty"`
	NetworkWork       string            `json:"network_work"` // expected hashes per block, decimal
	JobTime           *string           `json:"job_time"`
	Effort            *float64          `json:"effort"` // work on the block being sought in expected blocks; null when unknown
	Backlog           uint64            `json:"backlog"`
	JournalError      string            `json:"journal_error"`
	Accepted          uint64            `json:"accepted"` // shares in 24 hours
	Rejected          map[string]uint64 `json:"rejected"`
	Nodes             []nodeJSON        `json:"nodes"`
	Ledger            ledgerJSON        `json:"ledger"`
	Failed            []failure         `json:"failed"`            // what readyz says of the pool
	StoreError        string            `json:"store_error"`       // "" when the values are fresh
	AsOf              *string           `json:"as_of"`             // when the values were read; null when they are fresh
	History           *[]historyJSON    `json:"history,omitempty"` // a day by minutes, only for a single pool
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
	Head string `json:"head"` // hash of the last entry, hex
}

type historyJSON struct {
	Time     string  `json:"time"` // start of the bucket
	Hashrate float64 `json:"hashrate"`
	Workers  int     `json:"workers"`
}

func (s *Server) apiPools(r request) error {
	out := struct {
		Pools []poolJSON `json:"pools"`
	}{make([]poolJSON, 0, len(s.pools))}
	for _, p := range s.pools {
		out.Pools = append(out.Pools, p.json(p.snapshot(r)))
	}
	return r.json(out)
}

func (s *Server) apiPool(r request, p *poolState) error {
	snap := p.snapshot(r)
	out := p.json(snap)
	history := historyOf(snap.view.History)
	out.History = &history
	return r.json(out)
}

// json is the pool without its history.
func (p *poolState) json(snap *snapshot) poolJSON {
	i, v := p.now(snap), &snap.view
	live, _ := p.state(snap)
	out := poolJSON{
		ID: i.ID, Coin: i.Coin, Network: i.Network, Symbol: i.Symbol, Decimals: i.Decimals,
		Scheme: i.Scheme, PPLNSN: i.PPLNSN, FeePPM: i.FeePPM, PayoutThreshold: amountText(i.Threshold),
		RewardAddress: i.RewardAddress, Maturity: i.Maturity, Stratum: orEmpty(i.Stratum),
		Hashrate: finite(v.Hashrate), Miners: v.Miners, Workers: v.Workers, Sessions: live.Sessions,
		Height: v.Height, NetworkDifficulty: finite(v.NetworkDifficulty), NetworkWork: v.NetworkWork,
		JobTime: timeText(live.Job), Backlog: live.Backlog, JournalError: live.JournalError,
		Accepted: v.Accepted, Rejected: orNone(v.Rejected), Nodes: make([]nodeJSON, 0, len(live.Nodes)),
		Ledger: ledgerJSON{snap.head.Seq, snap.head.Term, hex.EncodeToString(snap.head.Hash[:])},
		Failed: orEmpty(p.failures(snap)),
	}
	if out.NetworkWork == "" {
		out.NetworkWork = "0"
	}
	if snap.measured {
		out.Effort = &snap.effort
	}
	if snap.err != nil {
		out.StoreError, out.AsOf = snap.err.Error(), timeText(snap.at)
	}
	for _, n := range live.Nodes {
		out.Nodes = append(out.Nodes, nodeJSON{n.Name, n.Up, n.Height, n.Error, timeText(n.Since)})
	}
	return out
}

func historyOf(points []pool.HistoryPoint) []historyJSON {
	out := make([]historyJSON, 0, len(points))
	for _, h := range points {
		out = append(out, historyJSON{time.Unix(h.Time, 0).UTC().Format(time.RFC3339), finite(h.Hashrate), h.Workers})
	}
	return out
}

// timeText is an instant in the API, nil for the zero time.
func timeText(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	return &s
}

// milliText is an instant given in Unix milliseconds, nil for 0.
func milliText(ms int64) *string {
	if ms <= 0 {
		return nil
	}
	return timeText(time.UnixMilli(ms))
}

// finite makes a statistic fit for JSON.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

func orNone(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}

// rejectCount is how often shares were refused for one reason.
type rejectCount struct {
	Reason string
	Count  uint64
}

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
