package api

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/adit-pool/adit/dashboard/view"
	"github.com/adit-pool/adit/dashboard/web"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

type blockJSON struct {
	Hash           pool.Hash         `json:"hash"`
	Height         int64             `json:"height"`
	Time           *string           `json:"time"`
	State          ledger.BlockState `json:"state"`
	Confirmations  int64             `json:"confirmations"`
	Reward         amountText        `json:"reward"`
	Fee            amountText        `json:"fee"`
	Carry          amountText        `json:"carry"`
	FeePPM         uint32            `json:"fee_ppm"`
	FeeVersion     int               `json:"fee_version"`
	Scheme         string            `json:"scheme"`
	Bits           string            `json:"bits"`
	Finder         *string           `json:"finder"`
	Worker         string            `json:"worker"`
	Epoch          string            `json:"epoch"`
	Seq            uint64            `json:"seq"`
	Window         *windowJSON       `json:"window"`
	Accounts       int               `json:"accounts"`
	Credits        *[]creditJSON     `json:"credits,omitempty"`
	PaidByCoinbase *[]creditJSON     `json:"paid_by_coinbase,omitempty"`
	Coinbase       *coinbaseJSON     `json:"coinbase,omitempty"`
}

type windowJSON struct {
	First uint64    `json:"first"`
	Last  uint64    `json:"last"`
	Rest  pool.Work `json:"rest"`
}

type creditJSON struct {
	Account pool.AccountID `json:"account"`
	Address *string        `json:"address"`
	Amount  amountText     `json:"amount"`
}

type coinbaseJSON struct {
	TxID    pool.Hash    `json:"txid"`
	Outputs []outputJSON `json:"outputs"`
}

type outputJSON struct {
	Index  uint32     `json:"index"`
	Value  amountText `json:"value"`
	Script ledger.Hex `json:"script"`
}

// page reads a list's query.
func page(r web.Request) (limit int, cursor string, csv bool, err error) {
	q, err := r.Query("limit", "cursor", "format")
	if err != nil {
		return 0, "", false, err
	}
	if csv, err = asCSV(q); err != nil {
		return 0, "", false, err
	}
	limit, cursor, err = web.Page(q)
	return limit, cursor, csv, err
}

func (a *API) blocks(r web.Request, p *view.Pool, _ []string) error {
	limit, cursor, csv, err := page(r)
	if err != nil {
		return err
	}
	snap := p.Snapshot()
	rows, err := p.Blocks.Page(snap, cursor, limit)
	if err != nil {
		return badCursor(p, err)
	}
	finders, err := p.Finders(rows.Docs)
	if err != nil {
		return err
	}
	blocks := make([]blockJSON, 0, len(rows.Docs))
	for i, d := range rows.Docs {
		b := blockOf(p, d, snap.View.Height)
		b.Finder = orNull(finders[i])
		blocks = append(blocks, b)
	}
	if csv {
		var table [][]string
		for _, b := range blocks {
			table = append(table, []string{fmt.Sprint(b.Height), b.Hash.String(), orDash(b.Time), string(b.State), fmt.Sprint(b.Confirmations),
				pool.Amount(b.Reward).Format(p.Info.Decimals), pool.Amount(b.Fee).Format(p.Info.Decimals), orDash(b.Finder), b.Worker})
		}
		return r.CSV(p.Info.ID+"-blocks", []string{"height", "hash", "time", "state", "confirmations", "reward_" + p.Info.Symbol, "fee_" + p.Info.Symbol, "finder", "worker"}, table)
	}
	return r.JSON(struct {
		Blocks []blockJSON `json:"blocks"`
		Total  int         `json:"total"`
		Next   *string     `json:"next"`
	}{blocks, rows.Total, orNull(rows.Next)})
}

func orDash(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// badCursor tells a client that its cursor is none; other errors stay.
func badCursor(p *view.Pool, err error) error {
	if p.BadCursor(err) {
		return web.BadRequest("that is no cursor of this list")
	}
	return err
}

func (a *API) block(r web.Request, p *view.Pool, part []string) error {
	if _, err := r.Query(); err != nil {
		return err
	}
	hash, err := pool.ParseHash(part[0])
	if err != nil {
		return web.NotFound("a block is named by its hash: " + err.Error())
	}
	d, err := p.Block(hash)
	if errors.Is(err, view.ErrNoDoc) {
		return web.NotFound(fmt.Sprintf("this pool found no block %s", hash))
	}
	if err != nil {
		return err
	}
	b := blockOf(p, d, p.Snapshot().View.Height)
	finder, err := p.Finders([]*ledger.BlockDoc{d})
	if err != nil {
		return err
	}
	b.Finder = orNull(finder[0])
	credits, err := creditsOf(p, d.Credits)
	if err != nil {
		return err
	}
	paid, err := creditsOf(p, d.PaidByCoinbase)
	if err != nil {
		return err
	}
	b.Credits, b.PaidByCoinbase = &credits, &paid
	if c := d.Coinbase; c != nil {
		b.Coinbase = &coinbaseJSON{TxID: c.TxID, Outputs: make([]outputJSON, 0, len(c.Outputs))}
		for _, o := range c.Outputs {
			b.Coinbase.Outputs = append(b.Coinbase.Outputs, outputJSON{o.Index, amountText(o.Value), o.Script})
		}
	}
	return r.JSON(b)
}

func creditsOf(p *view.Pool, credits []pool.Credit) ([]creditJSON, error) {
	ids := make([]pool.AccountID, len(credits))
	for i, c := range credits {
		ids[i] = c.Account
	}
	addresses, err := p.Addresses(ids)
	if err != nil {
		return nil, err
	}
	out := make([]creditJSON, len(credits))
	for i, c := range credits {
		out[i] = creditJSON{shownID(p, c.Account), orNull(addresses[i]), amountText(c.Amount)}
	}
	return out, nil
}

// shownID is an account's id, zeros when its owner does not show the account: an id is a hash over the address, which
// whoever knows the address can compute.
func shownID(p *view.Pool, id pool.AccountID) pool.AccountID {
	if p.Shown(id) != ledger.ShowAll {
		return pool.AccountID{}
	}
	return id
}

// blockOf is a block without finder and credits. height is that of the job in hand.
func blockOf(p *view.Pool, d *ledger.BlockDoc, height int64) blockJSON {
	_, worker := p.Finder(d)
	b := blockJSON{
		Hash: d.Hash, Height: d.Height, Time: milliText(d.Time), State: d.State, Confirmations: view.Confirmations(d, height),
		Reward: amountText(d.Reward()), Fee: amountText(d.Fee), Carry: amountText(d.Carry),
		FeePPM: d.FeePPM, FeeVersion: d.FeeVersion, Scheme: d.Scheme,
		Bits:   hex.EncodeToString([]byte{byte(d.Bits >> 24), byte(d.Bits >> 16), byte(d.Bits >> 8), byte(d.Bits)}),
		Worker: worker, Epoch: fmt.Sprintf("%016x", d.Epoch), Seq: d.Seq, Accounts: len(d.Credits),
	}
	if d.Window != nil {
		b.Window = &windowJSON{d.Window.First, d.Window.Last, d.Window.Rest}
	}
	return b
}
