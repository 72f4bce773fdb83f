package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/payout/sign"
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

// running is the data directory of the running server, and the pool that is meant.
func (w *where) running(cmd *cobra.Command) (dir, id string, err error) {
	if dir, err = w.dir(); err != nil || w.pool != "" {
		return dir, w.pool, err
	}
	r, err := callControl(cmd.Context(), dir, "GET", "/pools")
	if err != nil {
		return "", "", err
	}
	var ids []string
	if err := json.Unmarshal(r.Result, &ids); err != nil {
		return "", "", fmt.Errorf("read the list of pools: %w", err)
	}
	if len(ids) != 1 {
		return "", "", fmt.Errorf("choose one with --pool: %s", strings.Join(ids, ", "))
	}
	return dir, ids[0], nil
}

// askFor sends a request about a pool to the running server and prints the answer; path follows
// /AREA/POOL.
func (w *where) askFor(cmd *cobra.Command, area, method, path string) error {
	dir, id, err := w.running(cmd)
	if err != nil {
		return err
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

func payoutCommand() *cobra.Command {
	w := new(where)
	cmd := &cobra.Command{
		Use:   "payout",
		Short: "Pay miners, and see what was paid",
		Long: `payout asks the running adit serve, which is the only one that writes to the ledger. What pays or moves
something only says what it would do until --yes is given.

  adit payout run [--yes]              pay what is due, or go on with a payout that was interrupted
  adit payout status                   what is open, what it waits for, who is held
  adit payout list, show ID            all payouts; one with its payees and transaction
  adit payout reconcile                do ledger, node and shares agree?

step by step, with people and signers elsewhere

  adit payout draft [--yes]            choose payees and amounts
  adit payout approve ID --key FILE    allow it
  adit payout sign ID [--export FILE]  have it signed here, or write it for a signer elsewhere
  adit payout import ID FILE           take what came back signed
  adit payout broadcast ID             send it
  adit payout bump ID                  raise the fee of one that is stuck
  adit payout cancel ID                give one up

  adit payout hold, release ACCOUNT    keep an account from being paid
  adit payout order ACCOUNT            change where or when an account is paid, by its owner's signature
  adit payout privacy ACCOUNT          say who sees an account's page, by its owner's signature
  adit payout case ACCOUNT             the same by two people, for an owner who cannot sign
  adit payout direct                   whom coinbases pay by themselves (coinbase_payees)
  adit payout suspense                 receipts that nobody explained
  adit payout coin TXID:VOUT           write off a lost coin, or take in a receipt: two people
  adit payout halt, resume             the kill switch
  adit payout key, approver FILE       make a key that signs, or that approves

exit codes: 0 done, 1 failed, 3 nothing to pay, 4 a person must act, 5 the numbers do not match, 6 conflict,
7 node, fee, funds or limits do not allow it now`,
	}
	w.flags(cmd)
	cmd.AddCommand(payoutCommands(w)...)
	cmd.AddCommand(keyCommand(), approverCommand(), addressCommand())
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
			key, err := sign.CreateKey(path, chain.Params(), sign.KeyType(typ), sign.Lock{IdentityFile: path + ".identity"})
			if err != nil {
				return err
			}
			address, err := chain.Address(key.Script())
			if err != nil {
				return errors.Join(errors.New("the new key has no address"), err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "reward_address = %q\nkey_file = %q\n# descriptor %s\n", address, path, key.Descriptor())
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&coin, "coin", "bitcoin", "coin")
	f.StringVar(&network, "network", "mainnet", "network")
	f.StringVar(&typ, "type", string(sign.WPKH), "wpkh (bc1q…) or tr (bc1p…)")
	return cmd
}
