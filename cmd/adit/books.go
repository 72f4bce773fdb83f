package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/adit-pool/adit/payout"
	schemes "github.com/adit-pool/adit/payout/scheme/all"
	"github.com/adit-pool/adit/pool/keeper"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/settle"
)

// openLedger opens the pool's books, which one keeper settles or stands by for.
func (r *room) openLedger(cfg *Config, dev bool, out io.Writer) error {
	scheme, err := schemes.Find(r.cfg.Scheme, strconv.FormatFloat(r.cfg.PPLNSN, 'f', -1, 64))
	if err != nil {
		return err
	}
	var headEvery time.Duration // the settler's own default: a day
	if dev {
		headEvery = time.Minute
	}
	o, err := r.payoutOptions(cfg)
	if err != nil {
		return err
	}
	schedule, err := payout.ParseSchedule(cfg.Payout.Schedule)
	if err != nil {
		return err
	}
	peer, err := r.dialPeer(&cfg.Ledger)
	if err != nil {
		return err
	}
	r.keeper, err = keeper.New(keeper.Options{
		Name: cfg.Ledger.Name, Version: version, Peer: peer, Dir: r.dir, Lease: r.store, Reports: r.store, Log: r.log,
		Settle: settle.Options{
			Pool: r.cfg.ID, Chain: r.chain, Node: r.ring,
			Streams: r.store, Mirror: r.store, Windows: r.store, Scheme: scheme,
			FeePPM: r.cfg.FeePPM, RewardScript: r.reward, HeadEvery: headEvery, Log: r.log,
		},
		Beside: func(ctx context.Context, book *ledger.Book) error {
			o := o
			o.Book = r.keeper.PayBook(book)
			return r.pay(ctx, o, schedule, dev, book, out)
		},
	})
	if err != nil {
		return err
	}
	r.onClose(r.keeper.Close)
	_, err = payout.New(o) // a key that does not fit is said now
	return err
}

// pay runs payouts, and tells what the ledger learns, as long as this role is the active one.
func (r *room) pay(ctx context.Context, o payout.Options, schedule payout.Schedule, dev bool, book *ledger.Book, out io.Writer) error {
	payouts, err := payout.New(o)
	if err != nil {
		return err
	}
	p := &payer{payouts: payouts, limits: r.store.PayoutLimits, schedule: schedule, ready: r.keeper.MayPay, params: r.chain.Params(), automatic: dev, told: r.told, log: r.log}
	r.setPayer(p)
	defer r.setPayer(nil)
	var wg sync.WaitGroup
	wg.Go(func() { narrate(ctx, book, r.chain.Params(), r.told, out, r.log) })
	defer wg.Wait()
	return p.runLoop(ctx)
}

func (r *room) setPayer(p *payer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.payer = p
}

// activePayer makes payouts while this role is the active ledger; else the error says who can be asked.
func (r *room) activePayer() (*payer, error) {
	if _, err := r.activeBook(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.payer == nil {
		return nil, fmt.Errorf("%w: it has only just begun, try again", keeper.ErrNotActive)
	}
	return r.payer, nil
}

// activeBook is the ledger, when it is written here.
func (r *room) activeBook() (*ledger.Book, error) {
	if r.keeper == nil {
		return nil, errors.New("this process has no ledger role: ask the one that has, on its host or with its --data-dir")
	}
	return r.keeper.Book()
}
