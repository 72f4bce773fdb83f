package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/pool/keeper"
	"github.com/adit-pool/adit/pool/redis"
)

func forgetCommand(w *where) *cobra.Command {
	cmd := &cobra.Command{
		Use: "forget", Short: "Go on from an old backup: what it lacks is lost", Args: cobra.NoArgs,
		Long: `forget is for a ledger that refuses to go on because its disk is behind what was published of it, when no newer
copy is left anywhere. Stop every ledger role first. What Redis has of the ledger is dropped and made anew from
this disk, files of later signed heads are moved aside, and the decision becomes an entry of the ledger.

Credits and payouts of the missing time are lost to the books, not to the chain: run adit payout reconcile
afterwards, before anything is paid. Shares that edges were told to drop are gone; what edges still keep of the same
epochs cannot be counted behind that gap, so restart the edges.`,
	}
	decided := decisionFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if w.config == "" {
			return errors.New("give --config, which names the data directory and Redis")
		}
		cfg, err := loadConfig(w.config, os.Environ())
		if err != nil {
			return err
		}
		dir, err := w.poolDir(keeper.LedgerDir)
		if err != nil {
			return err
		}
		dir = filepath.Dir(dir)
		log := newLog(cmd.ErrOrStderr(), "info", "console")
		server, err := redis.Open(cmd.Context(), redis.Options{URL: cfg.Redis.URL, Log: log})
		if err != nil {
			return fmt.Errorf("redis.url: %w", err)
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		store, err := openStore(cmd.Context(), server, filepath.Base(dir), dir)
		if err != nil {
			return err
		}
		doc, err := keeper.Forget(cmd.Context(), filepath.Base(dir), dir, store, decision(decided()), log)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "forgotten: entries up to %d that Redis had seen, %d signed heads, the shares of %d streams; it is written down in the ledger\n",
			doc.Mirror, len(doc.Heads), len(doc.Released))
		return err
	}
	return cmd
}
