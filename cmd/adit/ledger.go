package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// bookState is the whole state of a book in one number.
type bookState struct {
	Seq    uint64     `json:"seq"`
	Digest ledger.Hex `json:"digest"`
}

func stateOf(book *ledger.Book) (bookState, error) {
	head, digest, err := book.Digest()
	return bookState{head.Seq, digest[:]}, err
}

// ledgerRoutes answers the commands of `adit ledger` about the rooms' books.
func ledgerRoutes(mux *http.ServeMux, rooms []*room) {
	handle := func(pattern string, answer func(r *room, book *ledger.Book, req *http.Request) (any, func(io.Writer) error, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			r, err := roomOf(rooms, req)
			var book *ledger.Book
			if err == nil {
				book, err = r.activeBook()
			}
			if err != nil {
				reply(w, nil, err, nil)
				return
			}
			result, text, err := answer(r, book, req)
			reply(w, result, err, text)
		})
	}
	handle("GET /ledger/{pool}/state", func(_ *room, book *ledger.Book, _ *http.Request) (any, func(io.Writer) error, error) {
		s, err := stateOf(book)
		return s, nil, err
	})
	handle("GET /ledger/{pool}/fees", func(_ *room, book *ledger.Book, _ *http.Request) (any, func(io.Writer) error, error) {
		var fees []ledger.FeeDoc
		for id, body := range book.Docs(ledger.SetFees) {
			var doc ledger.FeeDoc
			if err := json.Unmarshal(body, &doc); err != nil {
				return nil, nil, fmt.Errorf("read fee version %s: %w", id, err)
			}
			fees = append(fees, doc)
		}
		return fees, func(out io.Writer) error {
			fmt.Fprintln(out, "version        ppm  from height  scheme  account                                   author, approver: reason")
			for _, f := range fees {
				rate, scheme, account := strconv.FormatUint(uint64(f.PPM), 10), "all", "all"
				if f.Standard {
					rate = "standard"
				}
				if f.Scheme != "" {
					scheme = f.Scheme
				}
				if f.Account != nil {
					account = f.Account.String()
				}
				fmt.Fprintf(out, "%7d %10s %12d  %-6s  %-40s  %s, %s: %s\n", f.Version, rate, f.Height, scheme, account, f.Author, f.Approver, f.Reason)
			}
			return nil
		}, nil
	})
	handle("POST /ledger/{pool}/fee", changeFee)
	handle("POST /ledger/{pool}/adjust", adjust)
	handle("POST /ledger/{pool}/degrade", degradeLedger)
}

func decision(q url.Values) ledger.Decision {
	return ledger.Decision{Author: q.Get("author"), Approver: q.Get("approver"), Reason: q.Get("reason")}
}

// account names a miner by address or by account id. He need not have been credited before.
func (r *room) account(book *ledger.Book, name string) (pool.AccountID, error) {
	if account, _, err := findMiner(book, name); err == nil {
		return account, nil
	}
	script, err := r.chain.Script(name)
	if err != nil {
		return pool.AccountID{}, fmt.Errorf("--miner %s is no account id of this pool and no address: %w", name, err)
	}
	return pool.AccountOf(r.cfg.ID, script), nil
}

func changeFee(r *room, book *ledger.Book, req *http.Request) (any, func(io.Writer) error, error) {
	q := req.URL.Query()
	doc := ledger.FeeDoc{Scheme: q.Get("scheme"), Standard: q.Get("standard") == "true"}
	if doc.Scheme != "" {
		if _, err := splitter(doc.Scheme); err != nil {
			return nil, nil, fmt.Errorf("--scheme: %w", err)
		}
	}
	whom := "everybody"
	if miner := q.Get("miner"); miner != "" {
		account, err := r.account(book, miner)
		if err != nil {
			return nil, nil, err
		}
		doc.Account, whom = &account, "account "+account.String()
	}
	ppm, err := strconv.ParseUint(q.Get("ppm"), 10, 32)
	if err != nil {
		return nil, nil, fmt.Errorf("--ppm %q is not a number of parts per million", q.Get("ppm"))
	}
	height, err := strconv.ParseInt(q.Get("height"), 10, 64)
	if err != nil {
		return nil, nil, fmt.Errorf("--height %q is not a block height", q.Get("height"))
	}
	tip, err := r.ring.Tip(req.Context())
	if err != nil {
		return nil, nil, fmt.Errorf("ask the node for the chain's height: %w", err)
	}
	if now := tip.Height + 1; height <= now {
		return nil, nil, fmt.Errorf("--height %d is worked on or past: miners are to know a fee before they work for it; give %d or more", height, now+1)
	}
	doc.PPM, doc.Height = uint32(ppm), height
	e, err := ledger.ChangeFee(book, doc, decision(q))
	if err != nil {
		return nil, nil, err
	}
	if r.fees != nil {
		r.fees.poke()
	}
	return e, func(out io.Writer) error {
		rate := fmt.Sprintf("%d ppm", ppm)
		if doc.Standard {
			rate = "the fee that all pay"
		}
		_, err := fmt.Fprintf(out, "ledger entry %d: fee version %s, %s for %s in blocks from height %d on\n", e.Seq, e.Subject.ID, rate, whom, height)
		return err
	}, nil
}

func adjust(_ *room, book *ledger.Book, req *http.Request) (any, func(io.Writer) error, error) {
	q := req.URL.Query()
	amount, err := strconv.ParseInt(q.Get("amount"), 10, 64)
	if err != nil {
		return nil, nil, fmt.Errorf("--amount %q is not a number of base units", q.Get("amount"))
	}
	account, address, err := findMiner(book, q.Get("miner"))
	if err != nil {
		return nil, nil, err
	}
	e, err := ledger.Adjust(book, q.Get("key"), ledger.Adjustment{Account: account, Amount: pool.Amount(amount), Decision: decision(q)})
	again := ""
	if errors.Is(err, ledger.ErrExists) {
		again, err = " (made before; nothing was posted now)", nil
	}
	if err != nil {
		return nil, nil, err
	}
	return e, func(out io.Writer) error {
		_, err := fmt.Fprintf(out, "ledger entry %d: %+d to %s (account %s), who has %d available now%s\n",
			e.Seq, amount, address, account, book.Balance(ledger.MinerAvailable(account)), again)
		return err
	}, nil
}

func ledgerCommand() *cobra.Command {
	w := new(where)
	cmd := &cobra.Command{
		Use: "ledger", Short: "Change fees, correct balances, and fold the ledger anew",
		Long: `ledger's commands ask the active ledger role, which is the only one that writes to the ledger. What people
decide stands in it for ever, with author, approver and reason; author and approver are two people.

  adit ledger fees           the fee schedule
  adit ledger fee            a new fee from a coming block on
  adit ledger adjust         give a miner something, or take it
  adit ledger degrade        let payouts go on with one of two disks
  adit ledger recover        copy missing entries back from the other disk
  adit ledger forget         go on from an old backup when nothing newer is left
  adit ledger key FILE       make the key for copying between two disks
  adit ledger rebuild        fold the ledger anew from disk and compare`,
	}
	w.flags(cmd)
	cmd.AddCommand(w.ledgerAsking("fees", "Show the fee schedule", "GET", "/fees", nil), feeCommand(w), adjustCommand(w), degradeCommand(w), recoverCommand(w), forgetCommand(w), ledgerKeyCommand(), rebuildCommand(w))
	return cmd
}

// ledgerAsking is a command that asks the server about the ledger.
func (w *where) ledgerAsking(use, short, method, path string, query func() (url.Values, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if query == nil {
				return w.askFor(cmd, "ledger", method, path)
			}
			q, err := query()
			if err != nil {
				return err
			}
			return w.askFor(cmd, "ledger", method, path+"?"+q.Encode())
		},
	}
}

// decisionFlags adds the flags of a decision; the result reads them.
func decisionFlags(cmd *cobra.Command) func() url.Values {
	var d ledger.Decision
	f := cmd.Flags()
	f.StringVar(&d.Author, "author", "", "who wants it")
	f.StringVar(&d.Approver, "approver", "", "who allows it; somebody else")
	f.StringVar(&d.Reason, "reason", "", "why")
	for _, name := range []string{"author", "approver", "reason"} {
		_ = cmd.MarkFlagRequired(name) // fails only for flags that there are not
	}
	return func() url.Values {
		return url.Values{"author": {d.Author}, "approver": {d.Approver}, "reason": {d.Reason}}
	}
}

func feeCommand(w *where) *cobra.Command {
	var ppm uint32
	var height int64
	var scheme, miner string
	var standard bool
	var decided func() url.Values
	var cmd *cobra.Command
	cmd = w.ledgerAsking("fee", "Set the fee for blocks from a coming height on", "POST", "/fee", func() (url.Values, error) {
		q := decided()
		q.Set("ppm", strconv.FormatUint(uint64(ppm), 10))
		q.Set("height", strconv.FormatInt(height, 10))
		q.Set("scheme", scheme)
		q.Set("miner", miner)
		q.Set("standard", strconv.FormatBool(standard))
		if standard == cmd.Flags().Changed("ppm") {
			return nil, errors.New("give --ppm, or --standard for a miner who is to pay again what all pay")
		}
		return q, nil
	})
	cmd.Flags().Uint32Var(&ppm, "ppm", 0, "fee in parts per million: 10000 is 1 %")
	cmd.Flags().Int64Var(&height, "height", 0, "first block height that it is for")
	cmd.Flags().StringVar(&scheme, "scheme", "", "only for blocks of this scheme: pplns, prop or solo")
	cmd.Flags().StringVar(&miner, "miner", "", "only for this miner: address or account id")
	cmd.Flags().BoolVar(&standard, "standard", false, "with --miner: he pays again what all pay")
	decided = decisionFlags(cmd)
	_ = cmd.MarkFlagRequired("height")
	return cmd
}

func adjustCommand(w *where) *cobra.Command {
	var miner, key string
	var amount int64
	var decided func() url.Values
	cmd := w.ledgerAsking("adjust", "Give a miner something out of the operator's equity, or take it", "POST", "/adjust", func() (url.Values, error) {
		q := decided()
		if key == "" {
			key = rand.Text()
		}
		q.Set("miner", miner)
		q.Set("amount", strconv.FormatInt(amount, 10))
		q.Set("key", key)
		return q, nil
	})
	f := cmd.Flags()
	f.StringVar(&miner, "miner", "", "the miner's address or account id")
	f.Int64Var(&amount, "amount", 0, "base units; below 0 takes it from the miner")
	f.StringVar(&key, "key", "", "name of the adjustment, such as a ticket's number: given again it is not made twice")
	decided = decisionFlags(cmd)
	_ = cmd.MarkFlagRequired("miner")
	_ = cmd.MarkFlagRequired("amount")
	return cmd
}

func rebuildCommand(w *where) *cobra.Command {
	return &cobra.Command{
		Use: "rebuild", Short: "Fold the ledger anew from disk and compare with the running server", Args: cobra.NoArgs,
		Long: `rebuild reads the ledger from its first entry, folds all balances and documents anew and prints the SHA-256 of
the whole state in one sorted form. When adit serve runs on the directory, its own state, which grew entry by
entry, must have the same. A Redis that lost the ledger's entries needs no command: adit serve notices and
gives them back from disk.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := w.poolDir("ledger")
			if err != nil {
				return err
			}
			id := filepath.Base(filepath.Dir(dir))
			data, err := w.dir()
			if err != nil {
				return err
			}
			var running bookState
			answer, noServer := callControl(cmd.Context(), data, "GET", "/ledger/"+url.PathEscape(id)+"/state")
			if noServer == nil {
				if err := json.Unmarshal(answer.Result, &running); err != nil {
					return fmt.Errorf("read the state of the server: %w", err)
				}
			}
			book, err := ledger.View(dir, id, running.Seq)
			if err != nil {
				return err
			}
			defer book.Close()
			rebuilt, err := stateOf(book)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "rebuilt from disk    entry %d  %x\n", rebuilt.Seq, []byte(rebuilt.Digest))
			if noServer != nil {
				_, err := fmt.Fprintln(out, "no adit serve runs here to compare with")
				return err
			}
			fmt.Fprintf(out, "of the running pool  entry %d  %x\n", running.Seq, []byte(running.Digest))
			if rebuilt.Seq != running.Seq || string(rebuilt.Digest) != string(running.Digest) {
				return errors.New("the two states differ: run adit verify")
			}
			_, err = fmt.Fprintln(out, "both are equal")
			return err
		},
	}
}
