package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/bench/dashboard"
	"github.com/adit-pool/adit/bench/stratum"
	"github.com/adit-pool/adit/pool/chain/all"
	"github.com/adit-pool/adit/pool/redis"
)

func benchDashboardCommand() *cobra.Command {
	o := dashboard.Options{Progress: func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }}
	o.Stratum = stratum.Options{Mode: "shares", InFlight: 1, Tips: 1, Password: "x", Progress: func(string, ...any) {}}
	var pool stratum.Server
	var user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dashboard streams|pages|submit HOST:PORT",
		Short: "Load a running dashboard: live streams, pages, and what they cost the miners' shares",
		Long: `  streams  what live streams cost the server (--server-pid), beside no streams
  pages    how long the overview and the pages of --user take
  submit   CPU and answer time of shares at --stratum (a pool as "adit bench stratum" wants it),
           alternately without and with live streams, slow clients and huge queries

"adit bench dashboard fill" first puts workers into a test pool's Redis.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Address = args[1]
			if pool.Address != "" {
				pool.PIDs = o.PIDs
				o.Stratum.Servers, o.Stratum.Accounts, o.Stratum.For = []stratum.Server{pool}, []string{user}, o.For
			}
			rows, err := dashboard.Run(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rows)
			}
			return dashboard.WriteTable(cmd.OutOrStdout(), rows)
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&o.PIDs, "server-pid", nil, "the server's processes, for their CPU")
	f.IntVar(&o.Streams, "streams", 5000, "live streams")
	f.IntVar(&o.Slow, "slow", 200, "submit: slow clients, of each of three kinds")
	f.DurationVar(&o.For, "for", 10*time.Second, "how long is measured")
	f.StringSliceVar(&o.Users, "user", nil, "pages: addresses")
	f.IntVar(&o.Clients, "clients", 2, "pages: who asks at once")
	f.IntVar(&o.Requests, "requests", 2000, "pages: of each page")
	f.IntVar(&o.Pairs, "pairs", 5, "submit: alternated pairs of runs")
	f.StringVar(&pool.Address, "stratum", "", "submit: host:port of the pool")
	f.StringVar(&user, "miner", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "submit: address to mine for")
	f.IntVar(&o.Stratum.Connections, "connections", 50, "submit: miners")
	f.IntVar(&o.Stratum.InFlight, "in-flight", 1, "submit: shares a miner sends ahead of their answers")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(benchFillCommand())
	return cmd
}

func benchFillCommand() *cobra.Command {
	o := dashboard.FillOptions{Progress: func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }}
	var coin, network string
	cmd := &cobra.Command{
		Use:   "fill REDIS-URL",
		Short: "Put statistics of workers that nobody owns into a test pool's Redis",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Chain, err = all.Find(coin, network); err != nil {
				return err
			}
			o.Redis, err = redis.Open(cmd.Context(), redis.Options{URL: args[0], AllowVolatile: true, Log: newLog(os.Stderr, "warn", "text")})
			if err != nil {
				return err
			}
			defer o.Redis.Close()
			addresses, err := dashboard.Fill(cmd.Context(), o)
			for _, a := range addresses {
				fmt.Fprintln(cmd.OutOrStdout(), a)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Pool, "pool", "bitcoin", "id of the pool")
	f.StringVar(&coin, "coin", "bitcoin", "its coin")
	f.StringVar(&network, "network", "simnet", "its network; never a main network")
	f.IntVar(&o.Accounts, "accounts", 1000, "accounts")
	f.IntVar(&o.Workers, "workers", 100, "workers of each")
	f.DurationVar(&o.For, "for", 0, "report every ten seconds for so long; 0 is once")
	return cmd
}
