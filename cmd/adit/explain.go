package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/ledger"
)

func explainCommand() *cobra.Command {
	w := new(where)
	var block, miner string
	cmd := &cobra.Command{
		Use: "explain --block HEIGHT --miner ADDRESS", Short: "Say in words and numbers why a miner got what of a block", Args: cobra.NoArgs,
		Long: `explain computes one miner's credit of one block anew from the files, step by step, and compares it with
the ledger. It reads only files and can be used while adit serve runs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if block == "" || miner == "" {
				return errors.New("give --block HEIGHT or HASH, and --miner ADDRESS or account id")
			}
			dir, err := w.poolDir("ledger")
			if err != nil {
				return err
			}
			dir = filepath.Dir(dir)
			book, err := ledger.View(filepath.Join(dir, "ledger"), filepath.Base(dir), 0)
			if err != nil {
				return err
			}
			defer book.Close()
			doc, err := audit.FindBlock(book, block)
			if err != nil {
				return err
			}
			account, address, err := findMiner(book, miner)
			if err != nil {
				return err
			}
			scheme, err := splitter(doc.Scheme)
			if err != nil {
				return err
			}
			x, err := audit.Explain(dir, filepath.Base(dir), book, doc, account, scheme)
			if x == nil {
				return err
			}
			if w.json {
				return errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(x))
			}
			return errors.Join(err, writeExplanation(cmd.OutOrStdout(), x, address))
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&block, "block", "", "the block's height or hash")
	cmd.Flags().StringVar(&miner, "miner", "", "the miner's address, or account id of 40 hex digits")
	return cmd
}

// findMiner finds an account by id or by the address as the ledger spells it.
func findMiner(book *ledger.Book, name string) (pool.AccountID, string, error) {
	for id, body := range book.Docs(ledger.SetAccounts) {
		var doc ledger.AccountDoc
		if err := json.Unmarshal(body, &doc); err != nil {
			return pool.AccountID{}, "", fmt.Errorf("read account %s of the ledger: %w", id, err)
		}
		if id == name || doc.Address != "" && doc.Address == name {
			return doc.Account, doc.Address, nil
		}
	}
	return pool.AccountID{}, "", fmt.Errorf("no account %s was ever credited (addresses are spelt as adit prints them)", name)
}

// maxSliceLines is how many slices are printed one by one.
const maxSliceLines = 40

func writeExplanation(out io.Writer, x *audit.Explanation, address string) error {
	b := &x.Block
	finder := "somebody"
	if b.Finder != nil {
		finder = b.Finder.String()
	}
	fmt.Fprintf(out, `Block %s at height %d was found by %s and is %s.
Its coinbase pays the pool and accounts of it %d base units. Scheme %s, fee version %d.

1. The window: what the reward is split over
   Slices %d to %d, %d in all. Of slice %d a score of %s counts, of the others all.
`, b.Hash, b.Height, finder, b.State, b.Reward(), b.Scheme, b.FeeVersion, b.Window.First, b.Window.Last, len(x.Slices), b.Window.First, b.Window.Rest)
	fmt.Fprintf(out, "\n2. The score of miner %s (account %s)\n", address, x.Account)
	for i, s := range x.Slices {
		if i == maxSliceLines {
			fmt.Fprintf(out, "   … and %d slices more (--json prints all)\n", len(x.Slices)-i)
			break
		}
		if s.Takes != s.Of {
			fmt.Fprintf(out, "   slice %d: floor(%s x %s / %s) = %s\n", s.Number, s.Mine, s.Takes, s.Of, s.Part)
			continue
		}
		fmt.Fprintf(out, "   slice %d: %s of %s\n", s.Number, s.Mine, s.Of)
	}
	fmt.Fprintf(out, "   together %s; all %d accounts together %s\n", x.Score, x.Accounts, x.Total)
	switch pay := b.Reward() - b.Fee; {
	case x.Own:
		fmt.Fprintf(out, "\n3. The pot\n   This account has a fee of its own, %d ppm; it comes off its part of the whole reward, %d\n", x.OwnPPM, x.Pot)
	case x.Pot != pay:
		fmt.Fprintf(out, "\n3. The pot\n   Some accounts have fees of their own. What the others have together leaves %d after their fee of %d ppm\n", x.Pot, b.FeePPM)
	default:
		fmt.Fprintf(out, "\n3. The pot\n   reward %d - fee floor(%d x %d / 1000000) = %d leaves %d\n", b.Reward(), b.Reward(), b.FeePPM, b.Fee, x.Pot)
	}
	fmt.Fprintf(out, `
4. The miner's part
   floor(%d x %s / %s) = %d, remainder %s
   The floors of all accounts leave %d units over; they go one each to the largest remainders.
   This account gets %d of them: %d + %d = %d
`, x.Pot, x.Score, x.Total, x.Floor, x.Rest, x.Left, x.Unit, x.Floor, x.Unit, x.Floor+x.Unit)
	if x.Own {
		fmt.Fprintf(out, "   Less its own fee floor(%d x %d / 1000000) = %d it is %d\n", x.Gross, x.OwnPPM, x.Gross-x.Amount, x.Amount)
	}
	fmt.Fprintf(out, `
5. The ledger
   credits account %s with %d (entries %v).
   Its row in allocations/%s.json is %x.
`, x.Account, x.Ledger, x.Entries, b.Hash, x.Row)
	_, err := fmt.Fprintln(out, map[bool]string{true: "   Both are equal.", false: "   THEY DIFFER."}[x.Amount == x.Ledger])
	return err
}
