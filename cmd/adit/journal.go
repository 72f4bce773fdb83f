package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/journal"
	"github.com/adit-pool/adit/pool/slice"
)

// poolDir is a part of the pool's directory; --pool is not needed when there is only one.
func (w *where) poolDir(part string) (string, error) {
	dir, err := w.dir()
	if err != nil {
		return "", err
	}
	if w.pool != "" {
		return filepath.Join(dir, w.pool, part), nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", part))
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("no %s in %s: is --data-dir or --config right?", part, dir)
	case len(found) > 1:
		return "", errors.New("there are several pools here: choose one with --pool")
	}
	return found[0], nil
}

// shareLine is a share as `adit journal cat` prints it.
type shareLine struct {
	Epoch   string         `json:"epoch"` // 16 hex digits
	Seq     uint64         `json:"seq"`
	Time    string         `json:"time"`
	Account pool.AccountID `json:"account"`
	Script  string         `json:"script"`
	Worker  string         `json:"worker"`
	Scheme  string         `json:"scheme"`
	Issued  pool.Work      `json:"issued"`
	Credit  pool.Work      `json:"credit"`
	Bits    string         `json:"bits"`
	Job     uint64         `json:"job"`
	Hash    string         `json:"hash"` // first 16 bytes of the block id as in the header
	Early   bool           `json:"early,omitempty"`
	Block   bool           `json:"block,omitempty"`
}

func journalCommand() *cobra.Command {
	w := new(where)
	cmd := &cobra.Command{Use: "journal", Short: "Look at the share journal"}
	w.flags(cmd)
	cmd.AddCommand(&cobra.Command{
		Use: "cat", Short: "Print every share in the journal, one JSON object a line", Args: cobra.NoArgs,
		Long: `cat prints every share that is in the journal's files, oldest first. It can be used while adit serve
runs. Shares that the ledger has settled are removed from the journal after a while. Damage in a file is
told on standard error, with its place, after all that can be read was printed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := w.poolDir("journal")
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			enc := json.NewEncoder(out)
			err = journal.Scan(dir, func(b journal.Block, shares []pool.Share) error {
				for i := range shares {
					s := &shares[i]
					line := shareLine{
						Epoch: fmt.Sprintf("%016x", b.Epoch), Seq: s.Seq, Time: time.UnixMilli(s.Time).UTC().Format(time.RFC3339Nano),
						Account: s.Account, Script: hex.EncodeToString(s.Script), Worker: s.Worker, Scheme: s.Scheme.String(),
						Issued: s.Issued, Credit: s.Credit, Bits: fmt.Sprintf("%08x", s.Bits), Job: s.Job,
						Hash: hex.EncodeToString(s.Hash[:]), Early: s.Flags&pool.ShareEarly != 0, Block: s.Flags&pool.ShareBlock != 0,
					}
					if err := enc.Encode(line); err != nil {
						return err
					}
				}
				return nil
			})
			return errors.Join(err, out.Flush())
		},
	})
	return cmd
}

// sliceLine is a slice as `adit slices cat` prints it.
type sliceLine struct {
	Number uint64        `json:"number"`
	Reason string        `json:"reason"` // full, block, or open
	Block  *pool.Hash    `json:"block,omitempty"`
	Score  pool.Work     `json:"score"`
	Shares uint64        `json:"shares"`
	Early  uint64        `json:"early"`
	Solo   uint64        `json:"solo"`
	Work   pool.Work     `json:"work"`
	Root   string        `json:"root"` // Merkle-sum root over the weights
	Prev   string        `json:"prev"`
	Ranges []rangeLine   `json:"ranges"`
	Extras []extraLine   `json:"extras,omitempty"`
	Weight []pool.Weight `json:"weights"`
}

// rangeLine is a stretch of one stream: sequences from..to-1.
type rangeLine struct {
	Edge  string `json:"edge"`
	Epoch string `json:"epoch"`
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
}

// extraLine is a share that closed its slice out of turn.
type extraLine struct {
	Epoch   string         `json:"epoch"`
	Seq     uint64         `json:"seq"`
	Account pool.AccountID `json:"account"`
	Credit  pool.Work      `json:"credit"`
	Bits    string         `json:"bits"`
	Hash    string         `json:"hash"`
}

func slicesCommand() *cobra.Command {
	w := new(where)
	cmd := &cobra.Command{Use: "slices", Short: "Look at the slices that rewards are split over"}
	w.flags(cmd)
	cmd.AddCommand(&cobra.Command{
		Use: "cat", Short: "Print every slice, one JSON object a line", Args: cobra.NoArgs,
		Long: `cat prints every slice, the open one last: which shares it took in (for each journal epoch the sequences from..to-1,
and the extras that closed it), and each account's score. With adit journal cat this is what a block's
credits are computed from.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := w.poolDir("slices")
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			enc := json.NewEncoder(out)
			err = slice.Scan(dir, func(s *slice.Slice) error { return enc.Encode(lineOf(s)) })
			return errors.Join(err, out.Flush())
		},
	})
	return cmd
}

func lineOf(s *slice.Slice) sliceLine {
	l := sliceLine{
		Number: s.Number, Reason: "full", Score: s.Score, Shares: s.Shares, Early: s.Early, Solo: s.Solo, Work: s.Work,
		Root: hex.EncodeToString(s.Root[:]), Prev: hex.EncodeToString(s.Prev[:]), Weight: s.Weight,
	}
	switch s.Reason {
	case slice.ReasonBlock:
		l.Reason, l.Block = "block", &s.Block
	case slice.ReasonOpen:
		l.Reason = "open"
	}
	for _, r := range s.Ranges {
		l.Ranges = append(l.Ranges, rangeLine{r.Edge, fmt.Sprintf("%016x", r.Epoch), r.From, r.To})
	}
	for _, x := range s.Extras {
		l.Extras = append(l.Extras, extraLine{
			fmt.Sprintf("%016x", x.Epoch), x.Seq, x.Account, x.Credit, fmt.Sprintf("%08x", x.Bits), hex.EncodeToString(x.Hash[:]),
		})
	}
	return l
}
