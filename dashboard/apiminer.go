package dashboard

import (
	"github.com/adit-pool/adit/pool"
)

// minerJSON is one account in the API.
type minerJSON struct {
	Account     pool.AccountID `json:"account"`
	Address     string         `json:"address"`
	Pool        string         `json:"pool"`
	Hashrate    float64        `json:"hashrate"`
	Immature    amountText     `json:"immature"`
	Available   amountText     `json:"available"`
	InPayout    amountText     `json:"in_payout"`
	Paid        amountText     `json:"paid"`
	WindowScore pool.Work      `json:"window_score"`
	WindowTotal pool.Work      `json:"window_total"`
	StoreError  string         `json:"store_error"` // "" when the values are fresh
	AsOf        *string        `json:"as_of"`       // when the values were read; null when they are fresh
	Workers     []workerJSON   `json:"workers"`
	History     []historyJSON  `json:"history"` // a day by ten minutes
}

type workerJSON struct {
	Name       string            `json:"name"`
	Agent      string            `json:"agent"`
	Hashrate   float64           `json:"hashrate"`
	Difficulty float64           `json:"difficulty"`
	LastShare  *string           `json:"last_share"`
	BestShare  float64           `json:"best_share"`
	Accepted   uint64            `json:"accepted"` // in 24 hours
	Rejected   map[string]uint64 `json:"rejected"`
}

func (s *Server) apiMiner(r request, p *poolState, address string) error {
	script, err := p.info.Chain.Script(address)
	if err != nil {
		return notFound(err.Error())
	}
	id := pool.AccountOf(p.info.ID, script)
	a, err := p.account(r.base, id)
	if err != nil {
		return err
	}
	out := minerJSON{
		Account: id, Address: address, Pool: p.info.ID, Hashrate: finite(a.View.Hashrate),
		Immature: amountText(a.Immature), Available: amountText(a.Available),
		InPayout: amountText(a.InPayout), Paid: amountText(a.Paid),
		WindowScore: a.score, WindowTotal: a.total,
		Workers: make([]workerJSON, 0, len(a.View.Workers)), History: historyOf(a.View.History),
	}
	if a.View.Address != "" {
		out.Address = a.View.Address
	}
	if a.err != nil {
		out.StoreError, out.AsOf = a.err.Error(), timeText(a.at)
	}
	for _, w := range a.View.Workers {
		out.Workers = append(out.Workers, workerJSON{
			Name: w.Name, Agent: w.Agent, Hashrate: finite(w.Hashrate), Difficulty: finite(w.Difficulty),
			LastShare: milliText(w.LastShare), BestShare: finite(w.BestShare), Accepted: w.Accepted, Rejected: orNone(w.Rejected),
		})
	}
	return r.json(out)
}
