package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/bench/ledger"
)

func benchLedgerCommand() *cobra.Command {
	o := ledger.Defaults()
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Shares to durable acknowledgements, folds and closed blocks; needs redis-server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = newLog(os.Stderr, "warn", "text")
			o.Progress = os.Stderr
			r, err := ledger.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(r)
			}
			return r.WriteTable(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON; durations in nanoseconds")
	f.IntVar(&o.Accounts, "accounts", o.Accounts, "miners")
	f.IntVar(&o.Rate, "rate", o.Rate, "shares a second offered")
	f.DurationVar(&o.For, "for", o.For, "how long they are offered")
	f.IntVar(&o.Shares, "shares", o.Shares, "shares in the stream that is folded")
	f.IntVar(&o.Pairs, "pairs", o.Pairs, "pairs of runs with few and with all accounts")
	f.StringVar(&o.Only, "only", "", "one part: offer, block or flat; what is not measured shows as 0")
	f.StringVar(&o.Dir, "dir", "", "directory on the disk to be measured (default: the system's for temporary files)")
	return cmd
}
