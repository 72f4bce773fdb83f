package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/bench/kernels"
)

func benchKernelsCommand() *cobra.Command {
	var o kernels.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "Hashes a second of every kernel, and what a share costs the server",
		Long: `Measures every proof-of-work implementation that this machine can use with one
thread, the fastest with all, and the hashing of one share in the server. The best
window counts. "of limit" compares with what this CPU's execution units allow.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			choices := kernels.Choose(o.Algorithm) // first: it is timed
			results, err := kernels.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return kernels.WriteJSON(cmd.OutOrStdout(), results)
			}
			return errors.Join(kernels.WriteTable(cmd.OutOrStdout(), results), kernels.WriteChoices(cmd.OutOrStdout(), choices))
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	f.StringVar(&o.Algorithm, "algorithm", "", "sha256d or scrypt only")
	f.IntSliceVar(&o.Threads, "threads", nil, "with how many threads: with one every implementation is measured, with more the fastest (default 1 and one for each processor)")
	f.DurationVar(&o.For, "for", 600*time.Millisecond, "how long each line is measured")
	return cmd
}
