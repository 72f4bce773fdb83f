package api

import (
	"errors"
	"fmt"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
)

// payoutJSON is one payout. Signed bytes are not shown: they are the operator's to send.
type payoutJSON struct {
	ID      string       `json:"id"`
	State   payout.State `json:"state"`
	Time    *string      `json:"time"`
	Updated *string      `json:"updated"`
	TxID    *pool.Hash   `json:"txid"`
	Amount  amountText   `json:"amount"`
	Fee     amountText   `json:"fee"`
	Payees  any          `json:"payees"` // their number; in a single payout the list of payeeJSON
	Height  int64        `json:"height"`
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

func (a *API) payouts(r web.Request, p *view.Pool, _ []string) error {
	limit, cursor, csv, err := page(r)
	if err != nil {
		return err
	}
	rows, err := p.Payouts.Page(p.Snapshot(), cursor, limit)
	if err != nil {
		return badCursor(p, err)
	}
	payouts := make([]payoutJSON, 0, len(rows.Docs))
	for _, d := range rows.Docs {
		payouts = append(payouts, payoutOf(d))
	}
	if csv {
		var table [][]string
		for i, d := range rows.Docs {
			txid := ""
			if d.TxID != nil {
				txid = d.TxID.String()
			}
			table = append(table, []string{d.ID, string(d.State), orDash(payouts[i].Time), orDash(payouts[i].Updated), txid,
				d.Total.Format(p.Info.Decimals), d.Fee.Format(p.Info.Decimals), fmt.Sprint(len(d.Payees)), d.Reason})
		}
		return r.CSV(p.Info.ID+"-payouts", []string{"id", "state", "time", "updated", "txid", "amount_" + p.Info.Symbol, "fee_" + p.Info.Symbol, "payees", "reason"}, table)
	}
	return r.JSON(struct {
		Payouts []payoutJSON `json:"payouts"`
		Total   int          `json:"total"`
		Next    *string      `json:"next"`
	}{payouts, rows.Total, orNull(rows.Next)})
}

func (a *API) payout(r web.Request, p *view.Pool, part []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	d, err := p.Payout(part[0])
	if errors.Is(err, view.ErrNoDoc) {
		return web.NotFound(fmt.Sprintf("this pool has no payout %.70q", part[0]))
	}
	if err != nil {
		return err
	}
	out := payoutOf(d)
	payees := make([]payeeJSON, 0, len(d.Payees))
	for _, y := range d.Payees {
		payee := payeeJSON{shownID(p, y.Account), y.Address, amountText(y.Amount), y.Vout}
		if payee.Account != y.Account {
			payee.Address, payee.Vout = "", nil
		}
		payees = append(payees, payee)
	}
	out.Payees = payees
	steps := make([]stepJSON, 0, len(d.Steps))
	for _, st := range d.Steps {
		steps = append(steps, stepJSON{st.State, milliText(st.Time), st.Note})
	}
	out.Steps = &steps
	return r.JSON(out)
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
