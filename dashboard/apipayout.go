package dashboard

import (
	"context"
	"errors"
	"fmt"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
)

// payoutJSON is one payout in the API. Signed bytes are not shown: they are the operator's to send.
type payoutJSON struct {
	ID      string       `json:"id"`
	State   payout.State `json:"state"`
	Time    *string      `json:"time"`    // when it was drafted
	Updated *string      `json:"updated"` // of its newest step
	TxID    *pool.Hash   `json:"txid"`
	Amount  amountText   `json:"amount"` // to all payees
	Fee     amountText   `json:"fee"`    // to the network
	Payees  any          `json:"payees"` // their number; in a single payout the list of payeeJSON
	Height  int64        `json:"height"` // 0 until it is confirmed
	Block   *pool.Hash   `json:"block"`
	Reason  string       `json:"reason"`
	Steps   *[]stepJSON  `json:"steps,omitempty"`
}

type payeeJSON struct {
	Account pool.AccountID `json:"account"`
	Address string         `json:"address"`
	Amount  amountText     `json:"amount"`
	Vout    *uint32        `json:"vout"`
}

type stepJSON struct {
	State payout.State `json:"state"`
	Time  *string      `json:"time"`
	Note  string       `json:"note"`
}

func (s *Server) apiPayouts(r request, p *poolState) error {
	limit, offset, err := r.page()
	if err != nil {
		return err
	}
	snap := p.snapshot(r)
	docs, total, err := p.payouts.rows(r.base, snap.head, snap.payouts, offset, limit)
	if err != nil {
		return err
	}
	rows := make([]payoutJSON, 0, len(docs))
	for _, d := range docs {
		rows = append(rows, payoutOf(d))
	}
	return r.json(struct {
		Payouts []payoutJSON `json:"payouts"`
		Total   int          `json:"total"`
	}{rows, total})
}

func (s *Server) apiPayout(r request, p *poolState, id string) error {
	d, err := p.payout(r.base, id)
	if err != nil {
		return err
	}
	out := payoutOf(d)
	payees := make([]payeeJSON, 0, len(d.Payees))
	for _, y := range d.Payees {
		payees = append(payees, payeeJSON{y.Account, y.Address, amountText(y.Amount), y.Vout})
	}
	out.Payees = payees
	steps := make([]stepJSON, 0, len(d.Steps))
	for _, st := range d.Steps {
		steps = append(steps, stepJSON{st.State, milliText(st.Time), st.Note})
	}
	out.Steps = &steps
	return r.json(out)
}

// payout reads one payout's document.
func (p *poolState) payout(ctx context.Context, id string) (*payout.BatchDoc, error) {
	d := new(payout.BatchDoc)
	err := errNoDoc
	if len(id) <= 64 {
		err = p.doc(ctx, payout.SetPayouts, id, d)
	}
	if errors.Is(err, errNoDoc) {
		return nil, notFound(fmt.Sprintf("this pool has no payout %.70q", id))
	}
	return d, err
}

func payoutOf(d *payout.BatchDoc) payoutJSON {
	out := payoutJSON{
		ID: d.ID, State: d.State, TxID: d.TxID, Amount: amountText(d.Total), Fee: amountText(d.Fee),
		Payees: len(d.Payees), Height: d.Height, Block: d.Block, Reason: d.Reason,
	}
	if n := len(d.Steps); n > 0 {
		out.Time, out.Updated = milliText(d.Steps[0].Time), milliText(d.Steps[n-1].Time)
	}
	return out
}
