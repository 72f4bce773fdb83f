package ledger

import (
	"fmt"
	"io"
	"time"
)

// WriteTable writes the report for people, each line with what it is held to.
func (r *Report) WriteTable(w io.Writer) error {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	us := func(d time.Duration) string { return fmt.Sprintf("%.2f µs", float64(d.Nanoseconds())/1000) }
	rows := []struct{ what, got, want string }{
		{"shares offered a second", fmt.Sprint(r.Offer.Offered), ""},
		{"acknowledged, failed", fmt.Sprintf("%d, %d", r.Offer.Shares, r.Offer.Failed), ""},
		{"share to durable acknowledgement, p50", ms(r.Offer.P50), ""},
		{"share to durable acknowledgement, p99", ms(r.Offer.P99), "20 ms"},
		{"longest", ms(r.Offer.Longest), ""},
		{"shares a journal block", fmt.Sprintf("%.1f", r.Offer.PerBlock), ""},
		{"Redis calls a share", fmt.Sprintf("%.4f", r.Offer.EdgeCalls+r.Offer.SettlerCalls), "0.02"},
		{"  of them by the settler", fmt.Sprintf("%.4f", r.Offer.SettlerCalls), ""},
		{"processor time a share, edge and settler", us(r.Offer.CPU), ""},
		{"processor time a share, Redis", us(r.Offer.RedisCPU), ""},
		{"fold behind the last share", ms(r.Offer.Behind), ""},
		{"fold on one core, shares a second", fmt.Sprintf("%.0f", r.Fold.PerSecond), "200000"},
		{"  a second of processor time", fmt.Sprintf("%.0f", r.Fold.PerCore), ""},
		{"block closed over accounts", fmt.Sprint(r.Block.Accounts), ""},
		{"  slices in its window", fmt.Sprint(r.Block.Slices), ""},
		{"  window fixed, on disk", ms(r.Block.Submitted), ""},
		{"  credits in the ledger", ms(r.Block.Credited), "2 s"},
		{"  credits in Redis", ms(r.Block.Mirrored), "2 s"},
		{"  all accounts being new, credits in Redis", ms(r.Block.New), ""},
		{"  longest Redis command", ms(r.Block.RedisLong), "50 ms"},
		{"  longest wait for Redis", ms(r.Block.RedisAnswer), ""},
		{"start to the first window sum", ms(r.Block.FirstSum), ""},
		{fmt.Sprintf("fold, %d against %d accounts", r.Flat.All, r.Flat.Few),
			fmt.Sprintf("%.0f / %.0f ns, × %.2f", r.Flat.FoldAll, r.Flat.FoldFew, r.Flat.FoldRatio), ""},
		{"edge, settler and Redis, the same",
			fmt.Sprintf("%.0f / %.0f ns, × %.2f", r.Flat.WayAll, r.Flat.WayFew, r.Flat.WayRatio), "× 1.2"},
		{"Redis memory at rest, an account", fmt.Sprintf("%.0f bytes", r.Memory.PerAccount), ""},
	}
	if _, err := fmt.Fprintf(w, "%d accounts, %d cores, %s\n\n", r.Accounts, r.Cores, r.Go); err != nil {
		return err
	}
	for _, x := range rows {
		want := ""
		if x.want != "" {
			want = "  (at most " + x.want + ")"
			if x.want == "200000" {
				want = "  (at least " + x.want + ")"
			}
		}
		if _, err := fmt.Fprintf(w, "%-42s %s%s\n", x.what, x.got, want); err != nil {
			return err
		}
	}
	return nil
}
