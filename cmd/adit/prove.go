package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/pool/audit"
	"github.com/adit-pool/adit/pool/ledger"
	"github.com/adit-pool/adit/pool/merkle"
)

func proveCommand() *cobra.Command {
	w := new(where)
	var block, miner, out, head string
	var number uint64
	cmd := &cobra.Command{
		Use: "prove --miner ADDRESS --block HEIGHT | --slice NUMBER", Short: "Write a proof that a miner's row or score is in what the pool published", Args: cobra.NoArgs,
		Long: `prove writes a small file that shows that one miner's amount is in the allocation file of a block, or that one
miner's score is in a slice, without showing anybody else's name: the neighbours on the way to the root are
hashes and sums. When a signed head speaks of the block or slice, the proof leads up to it. Whoever has that
head, or the root alone, checks the file with adit verify proof, and needs no other file. prove reads only
files and can be used while adit serve runs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if miner == "" || (block == "") == (number == 0) {
				return errors.New("give --miner ADDRESS or account id, and either --block HEIGHT or HASH, or --slice NUMBER")
			}
			dir, err := w.poolDir("ledger")
			if err != nil {
				return err
			}
			dir = filepath.Dir(dir)
			id := filepath.Base(dir)
			book, err := ledger.View(filepath.Join(dir, "ledger"), id, 0)
			if err != nil {
				return err
			}
			defer book.Close()
			account, _, err := findMiner(book, miner)
			if err != nil {
				return err
			}
			var p *audit.Proof
			if block != "" {
				doc, err := audit.FindBlock(book, block)
				if err != nil {
					return err
				}
				p, err = audit.ProveRow(dir, id, book, doc, account, head)
				if err != nil {
					return err
				}
			} else if p, err = audit.ProveScore(dir, id, book, number, account, head); err != nil {
				return err
			}
			text, err := p.Text()
			if err != nil {
				return err
			}
			if out == "" {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			return os.WriteFile(out, text, 0o644)
		},
	}
	w.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&block, "block", "", "the block's height or hash")
	f.Uint64Var(&number, "slice", 0, "the slice's number")
	f.StringVar(&miner, "miner", "", "the miner's address, or account id of 40 hex digits")
	f.StringVar(&head, "head", "", "name of the signed head that the reader has, such as 20261122T000000Z; the newest without it")
	f.StringVar(&out, "out", "", "file to write; printed without it")
	return cmd
}

func verifyProofCommand() *cobra.Command {
	var head, root, key string
	cmd := &cobra.Command{
		Use: "proof FILE", Short: "Check a proof that adit prove wrote", Args: cobra.ExactArgs(1),
		Long: `proof checks a file that adit prove wrote, with nothing else at hand. A proof is worth as much as what it leads
to: give --head FILE, a signed head that you kept or got from the pool's page, or --root HEX, a root as the
pool published it in an allocation file, or --key HEX, the pool's public key. Without one of them it is only
said where the proof leads.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			p, err := audit.ParseProof(text)
			if err == nil {
				err = p.Check()
			}
			if err == nil {
				err = leadsTo(p, head, root, key)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			o := cmd.OutOrStdout()
			if r := p.Row; r != nil {
				fmt.Fprintf(o, "row %x\nhas score %s and amount %d of block %s at height %d\nroot %s\n", r.Row.Row, r.Row.Score, r.Amount, r.Block, r.Height, r.Root)
			} else {
				s := p.Score
				fmt.Fprintf(o, "account %s\nhas score %s in slice %d\nroot %s\n", s.Account, s.Weight.Score, s.Number, s.Root)
			}
			if h := p.Head; h != nil {
				fmt.Fprintf(o, "in the head %s of pool %s, entry %d:%x,\nsigned with key %x\n", h.ID, h.Pool, h.Seq, []byte(h.Hash), []byte(h.Key))
			}
			if head == "" && root == "" && key == "" {
				_, err = fmt.Fprintln(o, "the proof is right in itself; compare root or key with what the pool published")
				return err
			}
			_, err = fmt.Fprintln(o, "all is right")
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&head, "head", "", "file of a signed head that the proof must lead to")
	f.StringVar(&root, "root", "", "root, in hex, that the proof must lead to")
	f.StringVar(&key, "key", "", "public key, in hex, that must have signed the head")
	return cmd
}

// leadsTo compares where a proof leads with what its reader trusts.
func leadsTo(p *audit.Proof, head, root, key string) error {
	if root != "" {
		var want merkle.Hash
		if err := want.UnmarshalText([]byte(root)); err != nil {
			return fmt.Errorf("--root: %w", err)
		}
		if p.Root() != want {
			return fmt.Errorf("%w: it leads to root %s, not to %s", audit.ErrProof, p.Root(), want)
		}
	}
	if key == "" && head == "" {
		return nil
	}
	if p.Head == nil {
		return fmt.Errorf("%w: it leads to no signed head", audit.ErrProof)
	}
	if key != "" && !strings.EqualFold(key, hex.EncodeToString(p.Head.Key)) {
		return fmt.Errorf("%w: its head is signed with key %x, not with %s", audit.ErrProof, []byte(p.Head.Key), key)
	}
	if head == "" {
		return nil
	}
	want, err := readHead(head)
	if err != nil {
		return err
	}
	a, err := want.Bytes()
	if err != nil {
		return err
	}
	if b, err := p.Head.Bytes(); err != nil || string(a) != string(b) {
		return errors.Join(err, fmt.Errorf("%w: it leads to head %s of entry %d, not to head %s of entry %d in %s", audit.ErrProof, p.Head.ID, p.Head.Seq, want.ID, want.Seq, head))
	}
	return nil
}

// readHead reads a signed head's file.
func readHead(path string) (*ledger.SignedHead, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a signed head: %w", err)
	}
	h, err := ledger.ParseSignedHead(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}
