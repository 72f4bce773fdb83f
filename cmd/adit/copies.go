package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/pool/keeper"
	"github.com/adit-pool/adit/pool/ledger"
)

// check refuses what cannot hold two copies.
func (c *LedgerConfig) check() error {
	switch c.Copies {
	case 1:
		if c.Listen != "" || c.Peer != "" {
			return errors.New("ledger.listen and ledger.peer are for ledger.copies = 2")
		}
		return nil
	case 2:
	default:
		return fmt.Errorf("ledger.copies is %d: give 1, or 2 with a standby", c.Copies)
	}
	if err := checkListen("ledger.listen", c.Listen); err != nil {
		return err
	}
	if err := checkListen("ledger.peer", c.Peer); err != nil {
		return err
	}
	if c.KeyFile == "" {
		return errors.New("ledger.key_file is missing: make a key with adit ledger key FILE")
	}
	if _, err := keeper.ParsePublic(c.PeerKey); err != nil {
		return fmt.Errorf("ledger.peer_key: %w", err)
	}
	return nil
}

// keys are this ledger's key and the other's.
func (c *LedgerConfig) keys() (keeper.Key, ed25519.PublicKey, error) {
	key, err := keeper.ReadKey(c.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("ledger.key_file: %w", err)
	}
	other, err := keeper.ParsePublic(c.PeerKey)
	if err != nil {
		return nil, nil, fmt.Errorf("ledger.peer_key: %w", err)
	}
	if key.Public() == c.PeerKey {
		return nil, nil, errors.New("ledger.peer_key is this ledger's own: give what adit ledger key printed on the other host")
	}
	return key, other, nil
}

// dialPeer gives the keeper the other disk, if there is to be one.
func (r *room) dialPeer(c *LedgerConfig) (keeper.Peer, error) {
	if c.Copies != 2 {
		return nil, nil
	}
	remote, err := dialLedger(c, r.cfg.ID)
	if err != nil {
		return nil, err
	}
	r.onClose(func() error { remote.Close(); return nil })
	return remote, nil
}

// dialLedger is the way to the other ledger of one pool.
func dialLedger(c *LedgerConfig, pool string) (*keeper.Remote, error) {
	key, other, err := c.keys()
	if err != nil {
		return nil, err
	}
	return keeper.Dial(c.Peer, pool, key, other)
}

// serveCopies answers the other ledger for rooms. stop is nil when there is none.
func serveCopies(c *LedgerConfig, rooms []*room, log zerolog.Logger) (stop func() error, err error) {
	if c.Copies != 2 {
		return nil, nil
	}
	keepers := make(map[string]*keeper.Keeper)
	for _, r := range rooms {
		if r.keeper != nil {
			keepers[r.cfg.ID] = r.keeper
		}
	}
	if len(keepers) == 0 {
		return nil, nil
	}
	key, other, err := c.keys()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("ledger.listen: %w (is another server on that port? choose another)", err)
	}
	server, err := keeper.Serve(l, key, other, keepers)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	log.Info().Str("listen", l.Addr().String()).Str("peer", c.Peer).Msg("the ledger is copied from disk to disk")
	return server.Stop, nil
}

// degradeLedger is the server's side of adit ledger degrade.
func degradeLedger(r *room, book *ledger.Book, req *http.Request) (any, func(io.Writer) error, error) {
	if err := r.keeper.Degrade(decision(req.URL.Query())); err != nil {
		return nil, nil, err
	}
	seq := book.Head().Seq
	return seq, func(out io.Writer) error {
		_, err := fmt.Fprintf(out, "ledger entry %d: payouts go on with one disk until the other is back\n", seq)
		return err
	}, nil
}

func degradeCommand(w *where) *cobra.Command {
	var decided func() url.Values
	cmd := w.ledgerAsking("degrade", "Let payouts go on while only one of two disks holds the ledger", "POST", "/degrade", func() (url.Values, error) {
		return decided(), nil
	})
	decided = decisionFlags(cmd)
	return cmd
}

func ledgerKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "key FILE", Short: "Make the key by which this ledger role shows itself to the other", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			key, err := keeper.MakeKey(path)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "here         key_file = %q\non the other peer_key = %q\n", path, key.Public())
			return err
		},
	}
}

func recoverCommand(w *where) *cobra.Command {
	var from string
	var peer bool
	cmd := &cobra.Command{
		Use: "recover --peer | --from DIR", Short: "Copy missing ledger entries, slices and files back from the other disk", Args: cobra.NoArgs,
		Long: `recover brings this data directory's ledger up to another one while no adit serve runs on it.

--peer asks the other ledger over the network, by the addresses and keys of --config; it may be at work.
--from is the directory of the same pool in the other ledger's data directory, mounted or copied here.

The other chain must go on from what is here, and every entry of it is checked. Entries here that it lacks are
moved aside if they were never committed; when both have committed entries that the other lacks nothing is
changed. A ledger with a standby needs this only when the two cannot run together: else whichever is behind is
brought up by the other.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := w.poolDir(keeper.LedgerDir)
			if err != nil {
				return err
			}
			dir = filepath.Dir(dir)
			source, done, err := w.source(filepath.Base(dir), from)
			if err != nil {
				return err
			}
			n, head, err := keeper.Recover(cmd.Context(), filepath.Base(dir), dir, source, newLog(cmd.ErrOrStderr(), "info", "console"))
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries were copied; the ledger ends at entry %d of term %d, %x\n", n, head.Seq, head.Term, head.Hash)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "directory of the same pool on the other disk")
	cmd.Flags().BoolVar(&peer, "peer", false, "ask the other ledger that --config names")
	cmd.MarkFlagsOneRequired("from", "peer")
	cmd.MarkFlagsMutuallyExclusive("from", "peer")
	return cmd
}

// source is the disk to recover from: a directory, or when that is "" the other ledger of the configuration.
func (w *where) source(pool, directory string) (_ keeper.Source, done func() error, err error) {
	if directory != "" {
		d, err := keeper.OpenDirectory(directory, pool)
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	}
	if w.config == "" {
		return nil, nil, errors.New("--peer needs --config, which names the other ledger")
	}
	cfg, err := loadConfig(w.config, os.Environ())
	if err != nil {
		return nil, nil, err
	}
	if cfg.Ledger.Copies != 2 {
		return nil, nil, errors.New("ledger.copies is 1: the configuration names no other ledger")
	}
	remote, err := dialLedger(&cfg.Ledger, pool)
	if err != nil {
		return nil, nil, err
	}
	return remote, func() error { remote.Close(); return nil }, nil
}
