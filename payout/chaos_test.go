package payout

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"pgregory.net/rapid"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// TestChaos drives a pool at random: blocks, payouts of one or several transactions, fee bumps, cancels, holds, the
// kill switch, miners who spend early, kills at any posting or call, a node that times out before or after the act,
// loses what it took, forgets its memory pool and reorganises. At the end each
// batch must have been paid by exactly one transaction and every balance must be exact.
func TestChaos(t *testing.T) {
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		if rounds++; raceEnabled && rounds > 8 {
			return
		}
		dir, err := os.MkdirTemp(t.TempDir(), "book")
		if err != nil {
			t.Fatal(err)
		}
		w := newWorldIn(t, dir, rapid.SampledFrom([]sign.KeyType{sign.WPKH, sign.TR}).Draw(rt, "key"))
		defer func() { _ = w.book.Close() }()
		w.t = failer{t, rt}
		w.node.t = w.t
		w.opts.FinalDepth = 10 // deeper than any reorganisation here
		w.opts.FeeFrom = rapid.SampledFrom([]string{FeeFromPool, FeeFromPayees}).Draw(rt, "fee")
		w.restart()
		if rapid.Bool().Draw(rt, "parts") {
			w.parts()
		}
		w.rich(2)
		var lies []lie
		w.node.lie = func(what string) lie {
			if len(lies) == 0 || what != "sending" && lies[0] > timeout {
				return honest
			}
			l := lies[0]
			lies = lies[1:]
			return l
		}
		rt.Repeat(map[string]func(*rapid.T){
			"find": func(rt *rapid.T) {
				w.find(pool.Amount(rapid.Int64Range(20_000, 5_000_000).Draw(rt, "value")), rapid.SliceOfN(rapid.IntRange(1, 9), 1, 5).Draw(rt, "weight")...)
			},
			"mine": func(rt *rapid.T) { w.mine(rapid.IntRange(1, 4).Draw(rt, "blocks")) },
			"run": func(rt *rapid.T) {
				w.countdown = rapid.IntRange(0, 90).Draw(rt, "kill")
				lies = rapid.SliceOfN(rapid.SampledFrom([]lie{honest, honest, timeout, acceptedTimeout, lostSilently}), 0, 4).Draw(rt, "lies")
				_ = w.run()
				w.countdown, lies = 0, nil
			},
			"check": func(rt *rapid.T) {
				w.countdown = rapid.IntRange(0, 40).Draw(rt, "kill")
				lies = rapid.SliceOfN(rapid.SampledFrom([]lie{honest, timeout, acceptedTimeout, lostSilently}), 0, 4).Draw(rt, "lies")
				_ = w.check()
				w.countdown, lies = 0, nil
			},
			"bump": func(rt *rapid.T) {
				w.meddle(rt, &lies, func(d *BatchDoc) error {
					_, err := w.pay.Bump(context.Background(), d.ID, "author", pool.Amount(rapid.Int64Range(0, 200_000).Draw(rt, "rate")))
					return err
				})
			},
			"cancel": func(rt *rapid.T) {
				w.meddle(rt, &lies, func(d *BatchDoc) error {
					_, err := w.pay.Cancel(context.Background(), d.ID, "author", "at random")
					return err
				})
			},
			"spend": func(rt *rapid.T) { // a miner spends what is not confirmed yet
				for _, d := range w.list() {
					i := slices.IndexFunc(w.node.mempool, func(tx *wire.MsgTx) bool { return d.TxID != nil && pool.Hash(tx.TxHash()) == *d.TxID })
					if i >= 0 && len(d.Payees) > 0 && len(w.node.mempool) < 5 {
						w.spendOne(d)
					}
				}
			},
			"hold": func(rt *rapid.T) {
				w.list()
				id := pool.AccountOf(testPool, w.miners[rapid.IntRange(0, 4).Draw(rt, "miner")])
				if w.pay.fold.payee(id).Hold == nil {
					_ = w.try(func() error { _, err := w.pay.Hold(id, "clerk", "at random"); return err })
				} else {
					_ = w.try(func() error { _, err := w.pay.Release(id, "clerk", "at random", nil); return err })
				}
			},
			"halt": func(rt *rapid.T) {
				_ = w.try(func() error { _, err := w.pay.Halt(rapid.Bool().Draw(rt, "on"), "clerk", "at random"); return err })
			},
			"forget":  func(*rapid.T) { w.node.mempool = nil },
			"restart": func(*rapid.T) { w.restart() },
			"fee":     func(rt *rapid.T) { w.node.feeRate = pool.Amount(rapid.Int64Range(0, 250_000).Draw(rt, "rate")) },
			"reorg": func(rt *rapid.T) {
				if deep := w.safeReorg(); deep > 0 {
					w.node.reorg(rapid.IntRange(1, min(deep, 8)).Draw(rt, "depth"), rapid.Bool().Draw(rt, "forget"), rapid.Bool().Draw(rt, "remine"))
					w.mature()
				}
			},
		})
		w.node.feeRate = 0
		w.list()
		for _, script := range w.miners {
			if id := pool.AccountOf(testPool, script); w.pay.fold.payee(id).Hold != nil {
				if _, err := w.pay.Release(id, "clerk", "the end", nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := w.pay.Halt(false, "clerk", "the end"); err != nil {
			t.Fatal(err)
		}
		w.finish()
		w.verify()
	})
}

// meddle does something to a batch that is open, with kills and lies.
func (w *world) meddle(rt *rapid.T, lies *[]lie, act func(*BatchDoc) error) {
	var open []*BatchDoc
	for _, d := range w.list() {
		if d.open() {
			open = append(open, d)
		}
	}
	if len(open) == 0 {
		return
	}
	d := open[rapid.IntRange(0, len(open)-1).Draw(rt, "batch")]
	w.countdown = rapid.IntRange(0, 60).Draw(rt, "kill")
	*lies = rapid.SliceOfN(rapid.SampledFrom([]lie{honest, honest, timeout, acceptedTimeout, lostSilently}), 0, 4).Draw(rt, "lies")
	_ = w.try(func() error { return act(d) })
	w.countdown, *lies = 0, nil
}

// failer reports to rapid, so that it shrinks, and is a testing.TB for the helpers.
type failer struct {
	testing.TB
	rt *rapid.T
}

func (f failer) Helper()                           {}
func (f failer) Fatal(args ...any)                 { f.rt.Fatal(args...) }
func (f failer) Fatalf(format string, args ...any) { f.rt.Fatalf(format, args...) }
func (f failer) Errorf(format string, args ...any) { f.rt.Errorf(format, args...) }
func (f failer) Error(args ...any)                 { f.rt.Error(args...) }
