package api

import (
	"fmt"
	"time"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// minerCredit is what one block gave one account.
type minerCredit struct {
	Block         pool.Hash         `json:"block"`
	Height        int64             `json:"height"`
	Time          *string           `json:"time"`
	State         ledger.BlockState `json:"state"`
	Confirmations int64             `json:"confirmations"`
	Reward        amountText        `json:"reward"`
	Fee           amountText        `json:"fee"`
	FeePPM        uint32            `json:"fee_ppm"`
	Score         pool.Work         `json:"score"`
	Total         pool.Work         `json:"total"`
	Credit        amountText        `json:"credit"`
}

func (a *API) credits(r web.Request, p *view.Pool, part []string) error {
	limit, cursor, csv, err := page(r)
	if err != nil {
		return err
	}
	id, err := account(r, p, part[0])
	if err != nil {
		return err
	}
	if csv {
		limit, cursor = web.MaxLimit, ""
	}
	list, err := p.Credits(id, cursor, limit)
	if err != nil {
		return badCursor(p, err)
	}
	height := p.Snapshot().View.Height
	rows := make([]minerCredit, 0, len(list.Rows))
	for i := range list.Rows {
		c := &list.Rows[i]
		rows = append(rows, minerCredit{c.Block.Hash, c.Block.Height, milliText(c.Block.Time), c.Block.State, view.Confirmations(c.Block, height),
			amountText(c.Block.Reward()), amountText(c.Block.Fee), c.FeePPM, c.Score, c.Block.Score, amountText(c.Amount)})
	}
	if csv {
		table := make([][]string, 0, len(rows))
		for _, c := range rows {
			table = append(table, []string{fmt.Sprint(c.Height), c.Block.String(), orDash(c.Time), string(c.State), fmt.Sprint(c.Confirmations),
				fmt.Sprint(int64(c.Reward)), fmt.Sprint(int64(c.Fee)), fmt.Sprint(c.FeePPM), c.Score.String(), c.Total.String(),
				fmt.Sprint(int64(c.Credit)), coins(p, pool.Amount(c.Credit))})
		}
		return r.CSV(p.Info.ID+"-"+part[0]+"-credits", []string{"height", "block", "time", "state", "confirmations", "reward_units", "fee_units", "fee_ppm",
			"score", "total_score", "credit_units", "credit_" + p.Info.Symbol}, table)
	}
	return r.JSON(struct {
		Credits []minerCredit `json:"credits"`
		Total   int           `json:"total"`
		Next    *string       `json:"next"`
	}{rows, list.Total, orNull(list.Next)})
}

// minerPayout is what one payout has for one account.
type minerPayout struct {
	ID        string       `json:"id"`
	State     payout.State `json:"state"`
	Updated   *string      `json:"updated"`
	Confirmed *string      `json:"confirmed"`
	TxID      *pool.Hash   `json:"txid"`
	Amount    amountText   `json:"amount"`
}

func (a *API) paid(r web.Request, p *view.Pool, part []string) error {
	limit, cursor, csv, err := page(r)
	if err != nil {
		return err
	}
	id, err := account(r, p, part[0])
	if err != nil {
		return err
	}
	if csv {
		limit, cursor = web.MaxLimit, ""
	}
	list, err := p.Paid(id, cursor, limit)
	if err != nil {
		return badCursor(p, err)
	}
	rows := make([]minerPayout, 0, len(list.Rows))
	for i := range list.Rows {
		y := &list.Rows[i]
		rows = append(rows, minerPayout{y.Doc.ID, y.Doc.State, payoutOf(y.Doc).Updated, milliText(y.Final()), y.Doc.TxID, amountText(y.Amount)})
	}
	if csv {
		table := make([][]string, 0, len(rows))
		for _, y := range rows {
			txid := ""
			if y.TxID != nil {
				txid = y.TxID.String()
			}
			table = append(table, []string{y.ID, string(y.State), orDash(y.Updated), orDash(y.Confirmed), txid, fmt.Sprint(int64(y.Amount)), coins(p, pool.Amount(y.Amount))})
		}
		return r.CSV(p.Info.ID+"-"+part[0]+"-payouts", []string{"id", "state", "updated", "confirmed", "txid", "amount_units", "amount_" + p.Info.Symbol}, table)
	}
	return r.JSON(struct {
		Payouts []minerPayout `json:"payouts"`
		Total   int           `json:"total"`
		Next    *string       `json:"next"`
	}{rows, list.Total, orNull(list.Next)})
}

// dayJSON is one day of UTC.
type dayJSON struct {
	Day       string     `json:"day"`
	Blocks    int        `json:"blocks"`
	Credited  amountText `json:"credited"`
	Immature  amountText `json:"immature"`
	Withdrawn amountText `json:"withdrawn"`
	Payouts   int        `json:"payouts"`
	Paid      amountText `json:"paid"`
}

func (a *API) days(r web.Request, p *view.Pool, part []string) error {
	q, err := r.Query("format")
	if err != nil {
		return err
	}
	csv, err := asCSV(q)
	if err != nil {
		return err
	}
	id, err := account(r, p, part[0])
	if err != nil {
		return err
	}
	list, err := p.Days(id)
	if err != nil {
		return err
	}
	if csv {
		table := make([][]string, 0, len(list))
		for _, d := range list {
			row := []string{d.Day.Format(time.DateOnly), fmt.Sprint(d.Blocks), fmt.Sprint(d.Payouts)}
			for _, amount := range []pool.Amount{d.Credited, d.Immature, d.Withdrawn, d.Paid} {
				row = append(row, fmt.Sprint(int64(amount)), coins(p, amount))
			}
			table = append(table, row)
		}
		header := []string{"day_utc", "blocks", "payouts"}
		for _, name := range []string{"credited", "immature", "withdrawn", "paid"} {
			header = append(header, name+"_units", name+"_"+p.Info.Symbol)
		}
		return r.CSV(p.Info.ID+"-"+part[0]+"-days", header, table)
	}
	out := struct {
		Days []dayJSON `json:"days"`
	}{make([]dayJSON, 0, len(list))}
	for _, d := range list {
		out.Days = append(out.Days, dayJSON{d.Day.Format(time.DateOnly), d.Blocks, amountText(d.Credited), amountText(d.Immature), amountText(d.Withdrawn), d.Payouts, amountText(d.Paid)})
	}
	return r.JSON(out)
}

// coins writes an amount as a decimal number of coins.
func coins(p *view.Pool, a pool.Amount) string { return a.Format(p.Info.Decimals) }
