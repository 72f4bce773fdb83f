package main

import "github.com/spf13/cobra"

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure parts of Adit on this machine",
	}
	cmd.AddCommand(benchLedgerCommand(), benchKernelsCommand(), benchStratumCommand(), benchDashboardCommand())
	return cmd
}
