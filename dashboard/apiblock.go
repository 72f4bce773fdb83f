package dashboard

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// blockJSON is one found block in the API. reward = fee + carry + the sum of the credits.
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
	Bits           string            `json:"bits"`   // compact target, hex
	Finder         *string           `json:"finder"` // address
	Worker         string            `json:"worker"`
	Epoch          string            `json:"epoch"` // of the share that met the target, 16 hex digits
	Seq            uint64            `json:"seq"`   // its sequence in the epoch's journal
	Window         *windowJSON       `json:"window"`
	Accounts       int               `json:"accounts"` // that were credited
	Credits        *[]creditJSON     `json:"credits,omitempty"`
	PaidByCoinbase *[]creditJSON     `json:"paid_by_coinbase,omitempty"` // outputs to others, no debt of the pool
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

func (s *Server) apiBlocks(r request, p *poolState) error {
	limit, offset, err := r.page()
	if err != nil {
		return err
	}
	snap := p.snapshot(r)
	rows, total, err := p.blockRows(r.base, snap, offset, limit)
	if err != nil {
		return err
	}
	return r.json(struct {
		Blocks []blockJSON `json:"blocks"`
		Total  int         `json:"total"`
	}{rows, total})
}

func (s *Server) apiBlock(r request, p *poolState, id string) error {
	doc, err := p.block(r.base, id)
	if err != nil {
		return err
	}
	b, err := p.fullBlock(r.base, doc, p.snapshot(r).view.Height)
	if err != nil {
		return err
	}
	return r.json(b)
}

// block reads one block's document.
func (p *poolState) block(ctx context.Context, id string) (*ledger.BlockDoc, error) {
	hash, err := pool.ParseHash(id)
	if err != nil {
		return nil, notFound("a block is named by its hash: " + err.Error())
	}
	doc := new(ledger.BlockDoc)
	err = p.doc(ctx, ledger.SetBlocks, hash.String(), doc)
	if errors.Is(err, errNoDoc) {
		return nil, notFound(fmt.Sprintf("this pool found no block %s", hash))
	}
	return doc, err
}

// blockRows lists blocks without their credits.
func (p *poolState) blockRows(ctx context.Context, snap *snapshot, offset, limit int) ([]blockJSON, int, error) {
	docs, total, err := p.blocks.rows(ctx, snap.head, snap.blocks, offset, limit)
	if err != nil {
		return nil, 0, err
	}
	out := make([]blockJSON, 0, len(docs))
	for _, d := range docs {
		out = append(out, blockOf(d, snap.view.Height))
	}
	return out, total, p.addFinders(ctx, docs, out)
}

// addFinders puts the finders' addresses into rows.
func (p *poolState) addFinders(ctx context.Context, docs []*ledger.BlockDoc, rows []blockJSON) error {
	var ids []pool.AccountID
	var at []int
	for i, d := range docs {
		if d.Finder != nil {
			ids, at = append(ids, *d.Finder), append(at, i)
		}
	}
	addresses, err := p.addressesOf(ctx, ids)
	if err != nil {
		return err
	}
	for i, a := range addresses {
		rows[at[i]].Finder = orNull(a)
	}
	return nil
}

// fullBlock is a block with all that a third party needs to recompute its credits.
func (p *poolState) fullBlock(ctx context.Context, d *ledger.BlockDoc, height int64) (blockJSON, error) {
	rows := []blockJSON{blockOf(d, height)}
	b := &rows[0]
	if err := p.addFinders(ctx, []*ledger.BlockDoc{d}, rows); err != nil {
		return *b, err
	}
	credits, err := p.credits(ctx, d.Credits)
	if err != nil {
		return *b, err
	}
	paid, err := p.credits(ctx, d.PaidByCoinbase)
	if err != nil {
		return *b, err
	}
	b.Credits, b.PaidByCoinbase = &credits, &paid
	if c := d.Coinbase; c != nil {
		b.Coinbase = &coinbaseJSON{TxID: c.TxID, Outputs: make([]outputJSON, 0, len(c.Outputs))}
		for _, o := range c.Outputs {
			b.Coinbase.Outputs = append(b.Coinbase.Outputs, outputJSON{o.Index, amountText(o.Value), o.Script})
		}
	}
	return *b, nil
}

func (p *poolState) credits(ctx context.Context, credits []pool.Credit) ([]creditJSON, error) {
	ids := make([]pool.AccountID, len(credits))
	for i, c := range credits {
		ids[i] = c.Account
	}
	addresses, err := p.addressesOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]creditJSON, len(credits))
	for i, c := range credits {
		out[i] = creditJSON{c.Account, orNull(addresses[i]), amountText(c.Amount)}
	}
	return out, nil
}

// blockOf is a block without finder and credits. height is that of the job in hand: the tip's and one.
func blockOf(d *ledger.BlockDoc, height int64) blockJSON {
	b := blockJSON{
		Hash: d.Hash, Height: d.Height, Time: milliText(d.Time), State: d.State,
		Reward: amountText(d.Value), Fee: amountText(d.Fee), Carry: amountText(d.Carry),
		FeePPM: d.FeePPM, FeeVersion: d.FeeVersion, Scheme: d.Scheme,
		Bits:   hex.EncodeToString([]byte{byte(d.Bits >> 24), byte(d.Bits >> 16), byte(d.Bits >> 8), byte(d.Bits)}),
		Worker: d.Worker, Epoch: fmt.Sprintf("%016x", d.Epoch), Seq: d.Seq, Accounts: len(d.Credits),
	}
	if d.State == ledger.BlockImmature || d.State == ledger.BlockMature {
		b.Confirmations = max(height-d.Height, 0)
	}
	if d.Window != nil {
		b.Window = &windowJSON{d.Window.First, d.Window.Last, d.Window.Rest}
	}
	return b
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
