package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/bench/stratum"
)

func benchStratumCommand() *cobra.Command {
	o := stratum.Options{InFlight: 64, Pairs: 1, Tips: 5, Progress: func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }}
	var first, second stratum.Server
	var accounts int
	var asJSON bool
	var user string
	cmd := &cobra.Command{
		Use:   "stratum connections|notify|shares|soak HOST:PORT",
		Short: "Load a Stratum V1 pool, any, and measure it; two pools in alternated runs",
		Long: `Loads a pool whose difficulty is pinned so low that every hash is a share, best on the mock node
that "adit bench stratum node" runs.

  connections  connect → first job, and the memory of idle connections
  notify       a new tip at the node → the clean job at the first and the last connection
  shares       shares as fast as they go, a number in flight on each connection
  soak         a share now and then on each connection`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Mode, first.Address = args[0], args[1]
			o.Servers = []stratum.Server{first}
			if second.Address != "" {
				o.Servers = append(o.Servers, second)
			}
			for i := range accounts {
				o.Accounts = append(o.Accounts, fmt.Sprintf("%s.%d", user, i))
			}
			results, err := stratum.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(results)
			}
			return stratum.WriteTable(cmd.OutOrStdout(), o.Servers, results)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Connections, "connections", 50, "how many")
	f.Float64Var(&o.PerSecond, "per-second", 0, "connections begun a second; 0 is as fast as they go")
	f.IntVar(&o.InFlight, "in-flight", o.InFlight, "shares a connection sends ahead of their answers")
	f.DurationVar(&o.For, "for", 10*time.Second, "how long to load, or to idle")
	f.DurationVar(&o.Every, "every", time.Minute, "soak: between two shares of a connection")
	f.IntVar(&o.Tips, "tips", o.Tips, "notify: how many")
	f.IntVar(&o.Pairs, "runs", o.Pairs, "runs of each pool, alternated; the table has medians")
	f.StringVar(&user, "user", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "address to mine for; workers are numbered")
	f.IntVar(&accounts, "workers", 1, "names to mine under, in turn")
	f.StringVar(&o.Password, "password", "x", "password")
	f.IntSliceVar(&first.PIDs, "server-pid", nil, "processes of the pool, for its CPU and memory")
	f.StringVar(&first.Node, "node", "", "notify: URL of the pool's mock node")
	f.StringVar(&second.Address, "versus", "", "a second pool, to compare")
	f.IntSliceVar(&second.PIDs, "versus-pid", nil, "processes of the second pool")
	f.StringVar(&second.Node, "versus-node", "", "notify: URL of the second pool's mock node")
	f.BoolVar(&asJSON, "json", false, "print every run as JSON; durations in nanoseconds")
	cmd.AddCommand(benchNodeCommand())
	return cmd
}

func benchNodeCommand() *cobra.Command {
	var listen string
	var transactions int
	cmd := &cobra.Command{
		Use:   "node",
		Short: "A mock full node (regtest) with fixed templates; POST /tip moves it on",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := stratum.NewNode(transactions)
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("listen for the mock node: %w", err)
			}
			server := http.Server{Handler: n, ReadHeaderTimeout: 10 * time.Second}
			defer context.AfterFunc(cmd.Context(), func() { _ = server.Close() })()
			fmt.Fprintln(cmd.OutOrStdout(), "mock node at http://"+l.Addr().String())
			if err := server.Serve(l); cmd.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:18443", "where it listens")
	cmd.Flags().IntVar(&transactions, "transactions", 3000, "in each template")
	return cmd
}
