package payout

import (
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/pool"
)

// TestChaos drives a pool at random: blocks, payouts, kills at any posting or call, a node that times out
// before or after the act, loses what it took, forgets its memory pool and reorganises. At the end each
// batch must have been paid by exactly one transaction and every balance must be exact.
func TestChaos(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "book")
		if err != nil {
			t.Fatal(err)
		}
		w := newWorldIn(t, dir, rapid.SampledFrom([]KeyType{WPKH, TR}).Draw(rt, "key"))
		defer func() { _ = w.book.Close() }()
		w.t = failer{t, rt}
		w.node.t = w.t
		w.opts.FinalDepth = 10 // deeper than any reorganisation here
		w.restart()
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
		w.finish()
		w.verify()
	})
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
