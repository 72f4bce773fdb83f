package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/payout"
	chains "github.com/adit-pool/adit/pool/chain/all"
)

// where says which data directory a command is about.
type where struct {
	config, dataDir, pool string
	json                  bool
}

func (w *where) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&w.config, "config", "", "configuration file that names the data directory")
	f.StringVar(&w.dataDir, "data-dir", "", "data directory (default adit-data)")
	f.StringVar(&w.pool, "pool", "", "pool id; not needed when there is only one")
	f.BoolVar(&w.json, "json", false, "print JSON")
}

// dir is the data directory that the flags name.
func (w *where) dir() (string, error) {
	switch {
	case w.dataDir != "":
		return w.dataDir, nil
	case w.config != "":
		cfg, err := loadConfig(w.config, nil)
		if err != nil {
			return "", err
		}
		return cfg.DataDir, nil
	}
	return "adit-data", nil
}

// ask sends a request about a pool's payouts; path follows /payout/POOL.
func (w *where) ask(cmd *cobra.Command, method, path string) error {
	return w.askFor(cmd, "payout", method, path)
}

// askFor sends a request about a pool to the running server and prints the answer; path follows
// /AREA/POOL.
func (w *where) askFor(cmd *cobra.Command, area, method, path string) error {
	dir, err := w.dir()
	if err != nil {
		return err
	}
	id := w.pool
	if id == "" {
		r, err := callControl(cmd.Context(), dir, "GET", "/pools")
		if err != nil {
			return err
		}
		var ids []string
		if err := json.Unmarshal(r.Result, &ids); err != nil {
			return fmt.Errorf("read the list of pools: %w", err)
		}
		if len(ids) != 1 {
			return fmt.Errorf("choose one with --pool: %s", strings.Join(ids, ", "))
		}
		id = ids[0]
	}
	r, err := callControl(cmd.Context(), dir, method, "/"+area+"/"+url.PathEscape(id)+path)
	if err != nil {
		return err
	}
	if w.json {
		r.Text = string(r.Result) + "\n"
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), r.Text)
	return err
}

// asking is a command that sends one request.
func (w *where) asking(use, short, method, path string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return w.ask(cmd, method, path) },
	}
}

func payoutCommand() *cobra.Command {
	w := new(where)
	cmd := &cobra.Command{
		Use:   "payout",
		Short: "Pay miners, and see what was paid",
		Long: `payout asks the running adit serve, which is the only one that writes to the ledger.

  adit payout plan           what a run would pay now; nothing is changed
  adit payout run            make the payout, or go on with one that was interrupted
  adit payout list           all payouts and their states
  adit payout show ID        one payout: payees, amounts, transaction
  adit payout reconcile      do ledger and node agree?
  adit payout key FILE       make a signing key and print its address`,
	}
	w.flags(cmd)
	cmd.AddCommand(
		w.asking("plan", "Show what a run would pay now", "GET", "/plan"),
		w.asking("run", "Make a payout, or go on with an interrupted one", "POST", "/run"),
		w.asking("list", "List all payouts", "GET", "/batches"),
		w.asking("reconcile", "Compare the ledger with itself and with the node", "GET", "/reconcile"),
		&cobra.Command{
			Use: "show ID", Short: "Show one payout, named by its id or the beginning of it", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return w.ask(cmd, "GET", "/batches/"+url.PathEscape(args[0]))
			},
		},
		keyCommand(),
	)
	return cmd
}

// keyCommand makes a signing key.
func keyCommand() *cobra.Command {
	var coin, network, typ string
	cmd := &cobra.Command{
		Use:   "key FILE",
		Short: "Make an encrypted signing key and print the reward address that it spends from",
		Long: `key writes a new private key to FILE, encrypted to an age identity in FILE.identity, which is made
too. Whoever has both files has the money: keep a copy of both, apart from each other.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chain, err := chains.Find(coin, network)
			if err != nil {
				return err
			}
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			key, err := payout.CreateKey(path, chain.Params(), payout.KeyType(typ), payout.Lock{IdentityFile: path + ".identity"})
			if err != nil {
				return err
			}
			address, err := chain.Address(key.Script())
			if err != nil {
				return errors.Join(errors.New("the new key has no address"), err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "reward_address = %q\nkey_file = %q\n", address, path)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&coin, "coin", "bitcoin", "coin")
	f.StringVar(&network, "network", "mainnet", "network")
	f.StringVar(&typ, "type", string(payout.WPKH), "wpkh (bc1q…) or tr (bc1p…)")
	return cmd
}
