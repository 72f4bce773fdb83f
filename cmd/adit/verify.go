package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	schemes "github.com/adit-pool/adit/payout/scheme/all"
	"github.com/adit-pool/adit/pool/allocation"
	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/keeper"
	"github.com/adit-pool/adit/pool/ledger"
)

// The parts of a pool's directory that audit and settler share.
const (
	secretFile     = keeper.SecretFile
	allocationsDir = keeper.AllocationsDir
	headKeyFile    = keeper.HeadKeyFile
	headsDir       = keeper.HeadsDir
)

// splitter finds the scheme that a file names. How far a window reaches back is in the file, so the
// window length of the configuration does not matter.
func splitter(name string) (allocation.Splitter, error) { return schemes.Find(name, "2") }

func verifyCommand() *cobra.Command {
	w := new(where)
	var known string
	cmd := &cobra.Command{
		Use: "verify", Short: "Check every share, slice, credit and ledger entry on disk", Args: cobra.NoArgs,
		Long: `verify reads a pool's directory and checks it against itself: the hash chains of ledger, slices and journal;
that every entry balances and every balance is the sum of its postings; that each slice goes on where the
one before ended and has the sums of the shares that the journal still holds; the credits of every block,
computed anew from the slices; and every allocation file. It changes nothing and can be used while adit serve
runs. Whatever is wrong is printed with its file and place, and the exit code is 1.

Keep a signed head of the pool, from its page or the directory heads, or note the head that verify prints:
verify --head later tells whether the history up to there is still the same, however right a new one is in itself.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := w.poolDir("ledger")
			if err != nil {
				return err
			}
			dir = filepath.Dir(dir)
			o := audit.Options{Dir: dir, Pool: filepath.Base(dir), Schemes: splitter}
			if seq, _, noted := strings.Cut(known, ":"); noted && strings.Trim(seq, "0123456789") == "" {
				o.Known, err = parseHead(known)
			} else if known != "" {
				o.Signed, err = readHead(known)
			}
			if err != nil {
				return err
			}
			a, err := audit.Run(o)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, p := range a.Problems {
				fmt.Fprintln(out, "wrong:", p)
			}
			fmt.Fprintf(out, `pool         %s
ledger       %d entries, head %d:%x
slices       %d closed; %d summed anew from the journal, the shares of %d are released
journal      %d shares
blocks       %d recomputed from slices, %d allocation files
heads        %d signed
`,
				filepath.Base(dir), a.Entries, a.Head.Seq, a.Head.Hash, a.Slices, a.Recomputed, a.Released, a.Shares, a.Blocks, a.Allocations, a.Heads)
			if a.Torn > 0 {
				fmt.Fprintf(out, "at the ledger's end stand %d bytes of an entry that was never acknowledged\n", a.Torn)
			}
			if len(a.Problems) > 0 {
				return fmt.Errorf("%d things are wrong", len(a.Problems))
			}
			_, err = fmt.Fprintln(out, "all is right")
			return err
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&known, "head", "", "file of a signed head that was kept, or SEQ:HASH as verify printed it")
	cmd.AddCommand(verifyAllocationCommand(), verifyProofCommand())
	return cmd
}

// parseHead reads SEQ:HASH.
func parseHead(text string) (ledger.Head, error) {
	var h ledger.Head
	seq, digits, _ := strings.Cut(text, ":")
	var err error
	h.Seq, err = strconv.ParseUint(seq, 10, 64)
	b, hexErr := hex.DecodeString(digits)
	if err != nil || hexErr != nil || len(b) != 32 || h.Seq == 0 {
		return h, errors.New("--head: give SEQ:HASH as adit verify printed it")
	}
	h.Hash = [32]byte(b)
	return h, nil
}

func verifyAllocationCommand() *cobra.Command {
	var slices, secret string
	cmd := &cobra.Command{
		Use: "allocation FILE", Short: "Recompute one block's allocation file", Args: cobra.ExactArgs(1),
		Long: `allocation recomputes a block's published allocation file: its checksum, the fee, and each row's amount from its
score. With --slices, a copy of the pool's slices, the scores are recomputed too; the rows name nobody, so
without --secret they are compared as a whole, with it one by one.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			a, err := allocation.Parse(raw)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			scheme, err := splitter(a.Scheme)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := a.Recompute(scheme); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			from := "the rows' scores"
			if slices != "" {
				var key *allocation.Secret
				if secret != "" {
					s, err := allocation.ReadSecret(secret)
					if err != nil {
						return err
					}
					key = &s
				}
				if err := a.FromSlices(slices, key); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				from = fmt.Sprintf("slices %d to %d", a.Window.First, a.Window.Last)
			} else if secret != "" {
				return errors.New("--secret is for comparing with --slices")
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "block %s at height %d: reward %d = fee %d + carry %d + %d rows, recomputed from %s\nchecksum %x\nall is right\n",
				a.Block, a.Height, a.Reward, a.Fee, a.Carry, len(a.Rows), from, []byte(a.Sum))
			return err
		},
	}
	cmd.Flags().StringVar(&slices, "slices", "", "directory of the pool's slices")
	cmd.Flags().StringVar(&secret, "secret", "", "file of the pool's secret")
	return cmd
}
