package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/stratum"
)

// banRoutes answers the commands of `adit ban` about the rooms' bans.
func banRoutes(mux *http.ServeMux, rooms []*room) {
	handle := func(pattern string, answer func(r *room, q url.Values) (any, func(io.Writer) error, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			r, err := roomOf(rooms, req)
			if err == nil && r.bans == nil {
				err = errors.New("this process has no edge role: bans are each edge's own, ask there")
			}
			if err != nil {
				reply(w, nil, err, nil)
				return
			}
			result, text, err := answer(r, req.URL.Query())
			reply(w, result, err, text)
		})
	}
	handle("GET /ban/{pool}/list", func(r *room, _ url.Values) (any, func(io.Writer) error, error) {
		bans := r.bans.List()
		return bans, func(out io.Writer) error { return writeBans(out, bans) }, nil
	})
	handle("GET /ban/{pool}/nftables", func(r *room, _ url.Values) (any, func(io.Writer) error, error) {
		return r.bans.List(), r.bans.WriteNFTables, nil
	})
	handle("POST /ban/{pool}/add", func(r *room, q url.Values) (any, func(io.Writer) error, error) {
		prefix, account, err := r.banned(q)
		if err != nil {
			return nil, nil, err
		}
		length, err := time.ParseDuration(q.Get("for"))
		if err != nil {
			return nil, nil, fmt.Errorf("--for %q: give a time such as 24h", q.Get("for"))
		}
		if err := r.bans.Add(prefix, account, q.Get("reason"), length); err != nil {
			return nil, nil, err
		}
		bans := r.bans.List()
		return bans, func(out io.Writer) error { return writeBans(out, bans) }, nil
	})
	handle("POST /ban/{pool}/lift", func(r *room, q url.Values) (any, func(io.Writer) error, error) {
		prefix, account, err := r.banned(q)
		if err != nil {
			return nil, nil, err
		}
		there, err := r.bans.Lift(prefix, account)
		if err == nil && !there {
			err = fmt.Errorf("there is no such ban of %s: adit ban list shows those that there are", prefix)
		}
		return there, func(out io.Writer) error { _, err := fmt.Fprintf(out, "lifted the ban of %s\n", prefix); return err }, err
	})
}

// banned reads whom a ban is for.
func (r *room) banned(q url.Values) (netip.Prefix, *pool.AccountID, error) {
	prefix, err := parsePrefix(q.Get("from"))
	if err != nil {
		return prefix, nil, fmt.Errorf("%q is no address or network such as 192.0.2.7 or 2001:db8::/48", q.Get("from"))
	}
	address := q.Get("miner")
	if address == "" {
		return prefix, nil, nil
	}
	script, err := r.chain.Script(address)
	if err != nil {
		return prefix, nil, fmt.Errorf("--miner: %w", err)
	}
	account := pool.AccountOf(r.cfg.ID, script)
	return prefix, &account, nil
}

func writeBans(out io.Writer, bans []stratum.Ban) error {
	fmt.Fprintln(out, "from                     until                 account                                   reason")
	for _, b := range bans {
		account := "all"
		if b.Account != nil {
			account = b.Account.String()
		}
		if _, err := fmt.Fprintf(out, "%-24s %-21s %-41s %s\n", b.Prefix, b.Until.UTC().Format(time.RFC3339), account, b.Reason); err != nil {
			return err
		}
	}
	return nil
}

func banCommand() *cobra.Command {
	w := &where{}
	cmd := &cobra.Command{
		Use: "ban", Short: "List, add and lift bans of a running pool",
		Long: `adit serve bans by itself who misbehaves: an account from one address, or an address that nobody was ever
authorized from, each for some minutes (docs/stratum.md). These commands show that and do the same by hand.`,
		Example: "  adit ban list\n  adit ban add 192.0.2.7 --for 24h --reason flood\n  adit ban lift 192.0.2.7\n  adit ban nftables | nft -f -",
	}
	w.flags(cmd)
	ask := func(use, short, method, path string, args int, query func(q url.Values)) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cobra.ExactArgs(args),
			RunE: func(cmd *cobra.Command, args []string) error {
				q := url.Values{}
				if len(args) > 0 {
					q.Set("from", args[0])
				}
				if query != nil {
					query(q)
				}
				return w.askFor(cmd, "ban", method, path+"?"+q.Encode())
			},
		}
	}
	var miner, reason, length string
	add := ask("add ADDRESS|NETWORK", "Keep all who come from there away, or one miner", "POST", "/add", 1, func(q url.Values) {
		q.Set("miner", miner)
		q.Set("reason", reason)
		q.Set("for", length)
	})
	add.Flags().StringVar(&miner, "miner", "", "only this miner's address on the coin")
	add.Flags().StringVar(&reason, "reason", "by hand", "shown to the miner and in the list")
	add.Flags().StringVar(&length, "for", "1h", "how long")
	lift := ask("lift ADDRESS|NETWORK", "Take a ban back", "POST", "/lift", 1, func(q url.Values) { q.Set("miner", miner) })
	lift.Flags().StringVar(&miner, "miner", "", "the ban is only of this miner's address on the coin")
	cmd.AddCommand(add, lift, ask("list", "Show the bans in force", "GET", "/list", 0, nil),
		ask("nftables", "Write the bans of whole addresses as commands for nft -f", "GET", "/nftables", 0, nil))
	return cmd
}
