package payout

import (
	"math/big"

	"github.com/adit-pool/adit/pool"
)

// Diff is how a run differs from the one before it: what a person looks at before approving.
type Diff struct {
	Last      string      `json:"last,omitempty"` // run, "" when this is the first
	New       []Payee     `json:"new,omitempty"`  // never paid before
	Changed   []Payee     `json:"changed,omitempty"`
	Large     []Payee     `json:"large,omitempty"` // over the last run's mean by more than 3 standard deviations
	Total     pool.Amount `json:"total"`
	LastTotal pool.Amount `json:"last_total"`
	Fee       pool.Amount `json:"fee"`
	LastFee   pool.Amount `json:"last_fee"`
}

// diff compares a run with the newest one that is signed or paid. Payees' reasons say where they were paid.
func (p *Payouts) diff(docs []*BatchDoc) *Diff {
	x := &Diff{}
	paid := p.fold.history()
	var last []*BatchDoc
	for i := len(p.fold.batches) - 1; i >= 0; i-- {
		d := p.fold.batches[i]
		if d.pays() && !d.dead() && d.run() != docs[0].run() && (d.loose() || d.booked()) {
			last = p.fold.runOf(d)
			x.Last = d.run()
			break
		}
	}
	sum, squares, n := new(big.Int), new(big.Int), int64(0)
	for _, d := range last {
		x.LastTotal += d.Total
		x.LastFee += d.Fee
		for _, q := range d.Payees {
			a := big.NewInt(int64(q.Amount))
			sum.Add(sum, a)
			squares.Add(squares, a.Mul(a, a))
			n++
		}
	}
	for _, d := range docs {
		x.Total += d.Total
		x.Fee += d.Fee
		for _, q := range d.Payees {
			before, ok := paid[q.Account]
			switch {
			case !ok:
				x.New = append(x.New, q)
			case before.script != string(q.Script):
				q.Reason = "paid to " + p.address([]byte(before.script)) + " before"
				x.Changed = append(x.Changed, q)
			}
			if n > 1 && outlier(q.Amount, sum, squares, n) {
				x.Large = append(x.Large, q)
			}
		}
	}
	return x
}

// outlier reports whether a is above the mean by more than 3 standard deviations: with mean sum/n and variance
// squares/n - (sum/n)², when n·a > sum and (n·a - sum)² > 9·(n·squares - sum²), in integers.
func outlier(a pool.Amount, sum, squares *big.Int, n int64) bool {
	above := new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(n))
	if above.Sub(above, sum).Sign() <= 0 {
		return false
	}
	spread := new(big.Int).Mul(squares, big.NewInt(n))
	spread.Sub(spread, new(big.Int).Mul(sum, sum))
	return above.Mul(above, above).Cmp(spread.Mul(spread, big.NewInt(9))) > 0
}
