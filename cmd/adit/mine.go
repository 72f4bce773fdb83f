package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/kernels/all"
	"github.com/adit-pool/adit/worker"
)

func mineCommand() *cobra.Command {
	var (
		o         worker.Options
		algorithm string
		limit     float64
		level     string
	)
	cmd := &cobra.Command{
		Use:   "mine --pool stratum+tcp://host:port --user ADDRESS.worker",
		Short: "Mine for a Stratum V1 pool with this machine's processors",
		Example: `  adit mine --pool stratum+tcp://127.0.0.1:3333 --user ADDRESS.rig1
  adit mine --pool stratum+ssl://pool.example:3334 --user ADDRESS.rig1 --threads 2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kernel, err := all.Named(algorithm)
			if err != nil {
				return err
			}
			o.Kernel, o.Agent = kernel, "adit/"+version
			o.Log = newLog(os.Stderr, level, "console")
			o.Stats = new(worker.Stats)
			if limit > 0 {
				o.Limit = worker.NewLimit(limit)
			}
			o.Observer = mineEvents(cmd)
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				mineSummary(cmd, o.Stats, stop)
			}()
			err = worker.Run(cmd.Context(), o)
			close(stop)
			<-ended
			if cmd.Context().Err() != nil {
				return nil // Ctrl-C is how mining ends
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Pool, "pool", "", "address of the pool: stratum+tcp://host:port, or stratum+ssl:// for TLS")
	f.StringVar(&o.User, "user", "", "the name to mine under, usually ADDRESS.worker")
	f.StringVar(&o.Password, "password", "x", "pools read options from it, such as d=1024")
	f.StringVar(&algorithm, "algorithm", "sha256d", "proof of work: sha256d or scrypt")
	f.IntVar(&o.Threads, "threads", 0, "search threads; 0 is one for each processor")
	f.Float64Var(&limit, "limit", 0, "hashes per second at most; 0 is no limit")
	f.StringVar(&level, "log-level", "warn", "debug, info, warn or error")
	_ = cmd.MarkFlagRequired("pool")
	_ = cmd.MarkFlagRequired("user")
	return cmd
}

// mineEvents prints what a person at the rig wants to know.
func mineEvents(cmd *cobra.Command) func(worker.Event) {
	return func(e worker.Event) {
		out := cmd.OutOrStdout()
		now := time.Now().Format(time.TimeOnly)
		switch e.Kind {
		case worker.Connected:
			fmt.Fprintf(out, "%s connected to %s\n", now, e.Text)
		case worker.Accepted:
			fmt.Fprintf(out, "%s accepted, difficulty %s\n", now, e.Share.Difficulty)
		case worker.Rejected:
			fmt.Fprintf(out, "%s rejected: %s (%d)\n", now, e.Text, e.Code)
		case worker.Disconnected:
			fmt.Fprintf(out, "%s disconnected: %s\n", now, e.Text)
		case worker.Message:
			fmt.Fprintf(out, "%s the pool says: %q\n", now, e.Text)
		}
	}
}

// mineSummary prints a line a minute until done, and a last one.
func mineSummary(cmd *cobra.Command, stats *worker.Stats, done <-chan struct{}) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		over := false
		select {
		case <-tick.C:
		case <-done:
			over = true
		}
		c := stats.Counts()
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s, %d accepted, %d rejected (%d stale)\n",
			time.Now().Format(time.TimeOnly), hashrateText(c.Hashrate), c.Accepted, c.Rejected, c.Stale)
		if over {
			return
		}
	}
}

// hashrateText writes hashes per second with a unit prefix.
func hashrateText(h float64) string {
	units := []string{"H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s", "EH/s"}
	i := 0
	for h >= 1000 && i < len(units)-1 {
		h /= 1000
		i++
	}
	return fmt.Sprintf("%.2f %s", h, units[i])
}
