package payout

import (
	"context"
	"testing"
	"time"

	"github.com/adit-pool/adit/payout/sign"
)

// BenchmarkRun drafts, builds and signs a run over 100 000 accounts: 40 transactions and the one that funds them.
func BenchmarkRun(b *testing.B) {
	ctx := context.Background()
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, sign.WPKH)
		w.find(500_000_000_000, 1)
		w.mine(testMaturity)
		w.crowdOf(100_000)
		w.opts.Book = w.book // with one fsync for all entries of a step, as in the product
		var err error
		if w.pay, err = New(w.opts); err != nil {
			b.Fatal(err)
		}
		w.list()
		b.StartTimer()
		begin := time.Now()
		d, err := w.pay.Draft(ctx, SystemAccount)
		if err != nil {
			b.Fatal(err)
		}
		drafted := time.Now()
		if _, err := w.pay.approveNow(ctx, d.ID); err != nil {
			b.Fatal(err)
		}
		approved := time.Now()
		if _, err := w.pay.Build(ctx, d.ID); err != nil {
			b.Fatal(err)
		}
		built := time.Now()
		if _, err := w.pay.Sign(ctx, d.ID); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(drafted.Sub(begin).Seconds(), "s/draft")
		b.ReportMetric(approved.Sub(drafted).Seconds(), "s/approve")
		b.ReportMetric(built.Sub(approved).Seconds(), "s/build")
		b.ReportMetric(time.Since(built).Seconds(), "s/sign")
		if n := len(w.list()); n < 35 {
			b.Fatalf("%d batches", n)
		}
		b.StopTimer()
		_ = w.book.Close()
		b.StartTimer()
	}
}

// parts makes runs of several transactions out of a few payees.
func (w *world) parts() {
	w.opts.partWeight = 2 * 4 * 43
	w.restart()
}
