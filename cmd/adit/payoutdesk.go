package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/payout/desk"
	"github.com/adit-pool/adit/payout/sign"
	chains "github.com/adit-pool/adit/pool/chain/all"
)

// deskAsk sends a command to the running server and returns the reply. On a terminal it shows what the server is
// at meanwhile.
func (w *where) deskAsk(cmd *cobra.Command, req desk.Request) (*controlReply, error) {
	dir, id, err := w.running(cmd)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	path := "/payout/" + url.PathEscape(id)
	stop := func() {}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		stop = showProgress(cmd.Context(), dir, path+"/progress")
	}
	r, err := callControlBody(cmd.Context(), dir, "POST", path, bytes.NewReader(body))
	stop()
	return r, err
}

// showProgress writes a line that tells what the server does, until it is stopped.
func showProgress(ctx context.Context, dir, path string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		begin, shown := time.Now(), false
		for {
			select {
			case <-ctx.Done():
				if shown {
					fmt.Fprint(os.Stderr, "\r\x1b[K")
				}
				return
			case <-tick.C:
			}
			r, err := callControl(ctx, dir, "GET", path)
			var at string
			if err == nil && json.Unmarshal(r.Result, &at) == nil {
				shown = true
				fmt.Fprintf(os.Stderr, "\r\x1b[K%s (%d s)", at, int(time.Since(begin).Seconds()))
			}
		}
	}()
	return func() { cancel(); <-done }
}

// deskPrint sends a command and prints the reply.
func (w *where) deskPrint(cmd *cobra.Command, req desk.Request) error {
	r, err := w.deskAsk(cmd, req)
	if r != nil {
		text := r.Text
		if w.json && len(r.Result) > 0 {
			text = string(r.Result) + "\n"
		}
		fmt.Fprint(cmd.OutOrStdout(), text)
	}
	return err
}

// payoutCommands are those that the server answers.
func payoutCommands(w *where) []*cobra.Command {
	make := func(use, short string, args cobra.PositionalArgs, flags []string, fill func(*desk.Request, []string) error) *cobra.Command {
		var req desk.Request
		cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			req.Command = cmd.Name()
			if fill != nil {
				if err := fill(&req, args); err != nil {
					return err
				}
			}
			return w.deskPrint(cmd, req)
		}}
		for _, f := range flags {
			switch f {
			case "yes":
				cmd.Flags().BoolVar(&req.Yes, "yes", false, "do it; else it only says what would be done")
			case "by":
				cmd.Flags().StringVar(&req.By, "by", userName(), "who asks for it")
			case "reason":
				cmd.Flags().StringVar(&req.Reason, "reason", "", "why")
				_ = cmd.MarkFlagRequired("reason") // fails only for flags that there are not
			case "rate":
				cmd.Flags().Int64Var(&req.Rate, "rate", 0, "base units per 1000 virtual bytes; 0 for the node's estimate")
			case "full":
				cmd.Flags().BoolVar(&req.Full, "full", false, "compare the whole chain again, not only new blocks")
			}
		}
		return cmd
	}
	id := func(r *desk.Request, args []string) error { r.ID = args[0]; return nil }
	account := func(r *desk.Request, args []string) error { r.Account = args[0]; return nil }
	none, one := cobra.NoArgs, cobra.ExactArgs(1)
	return []*cobra.Command{
		make("draft", "Choose payees and amounts", none, []string{"yes", "by"}, nil),
		make("run", "Pay what is due, or go on with an interrupted payout", none, []string{"yes", "by"}, nil),
		approveCommand(w), signCommand(w),
		make("import ID FILE", "Take a signed PSBT that came back", cobra.ExactArgs(2), nil, func(r *desk.Request, args []string) (err error) {
			r.ID = args[0]
			r.Packet, err = os.ReadFile(args[1])
			return err
		}),
		make("broadcast ID", "Send a signed payout", one, nil, id),
		make("bump ID", "Raise the fee of a payout that is stuck", one, []string{"by", "rate"}, id),
		make("cancel ID", "Give a payout up; after signing by spending its baton elsewhere", one, []string{"by", "reason"}, id),
		make("hold ACCOUNT", "Keep an account from being paid", one, []string{"by", "reason"}, account),
		releaseCommand(w),
		make("payee ACCOUNT", "Show how an account is paid", one, nil, account),
		orderCommand(w), privacyCommand(w), caseCommand(w), coinCommand(w),
		make("direct", "Show whom coinbases pay", none, nil, nil),
		make("suspense", "List what nobody has explained, and coins that were decided on", none, nil, nil),
		make("halt", "Stop all payouts: the kill switch", none, []string{"by", "reason"}, nil),
		make("resume", "Let payouts go on", none, []string{"by", "reason"}, nil),
		make("status", "Show what is open, what it waits for and who is held", none, nil, nil),
		make("list", "List all payouts", none, nil, nil),
		make("show ID", "Show one payout, named by its id or the beginning of it", one, nil, id),
		make("reconcile", "Compare ledger, node and shares", none, []string{"full"}, nil),
	}
}

// userName is whoever is logged in here.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// openPerson opens an approval key as a signing key is opened.
func openPerson(path string) (*sign.Person, error) {
	lock, err := keyLock(path)
	if err != nil {
		return nil, err
	}
	return sign.OpenPerson(path, lock)
}

// approval signs a thing with the key in a file, for the pool that is meant.
func (w *where) approval(cmd *cobra.Command, key, thing string) (by string, signature []byte, err error) {
	person, err := openPerson(key)
	if err != nil {
		return "", nil, err
	}
	_, id, err := w.running(cmd)
	if err != nil {
		return "", nil, err
	}
	return person.Name, person.Sign(payout.ApprovalText(id, thing)), nil
}

func approveCommand(w *where) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "approve ID", Short: "Approve a drafted payout with your key", Args: cobra.ExactArgs(1),
		Long: `approve fetches the payout, works its id out anew from all its payees and amounts, signs that id with the key in
FILE, made by adit payout approver, and hands the signature over. Whoever drafted the payout cannot approve it.
Any change of the payout would have another id, for which the signature is worth nothing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := w.deskAsk(cmd, desk.Request{Command: "show", ID: args[0]})
			if err != nil {
				return err
			}
			var docs []*payout.BatchDoc
			if err := json.Unmarshal(r.Result, &docs); err != nil {
				return fmt.Errorf("read the payout: %w", err)
			}
			run, err := payout.VerifyRun(docs)
			if err != nil {
				return err
			}
			by, signature, err := w.approval(cmd, key, run)
			if err != nil {
				return err
			}
			return w.deskPrint(cmd, desk.Request{Command: "approve", ID: run, By: by, Signature: signature})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "file of your approval key")
	_ = cmd.MarkFlagRequired("key")
	return cmd
}

func releaseCommand(w *where) *cobra.Command {
	var key, by, reason, confirm string
	cmd := &cobra.Command{
		Use: "release ACCOUNT", Short: "Let a held account be paid again", Args: cobra.ExactArgs(1),
		Long: `release needs as many people as the approval policy does, each with --key. Under policy none it asks that the
word release be typed, or given by --confirm.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := w.deskAsk(cmd, desk.Request{Command: "payee", Account: args[0]})
			if err != nil {
				return err
			}
			var doc payout.PayeeDoc
			if err := json.Unmarshal(r.Result, &doc); err != nil {
				return fmt.Errorf("read the account: %w", err)
			}
			if doc.Hold == nil {
				return errors.New("the account is not held")
			}
			req := desk.Request{Command: "release", Account: args[0], By: by, Reason: reason}
			if key != "" {
				if req.By, req.Signature, err = w.approval(cmd, key, payout.ReleaseThing(doc.Account, doc.Hold)); err != nil {
					return err
				}
				return w.deskPrint(cmd, req)
			}
			if confirm == "" {
				fmt.Fprintf(cmd.OutOrStdout(), "held: %s\ntype release to let %s be paid again: ", doc.Hold.Reason, args[0])
				if _, err := fmt.Fscanln(cmd.InOrStdin(), &confirm); err != nil {
					return fmt.Errorf("read the confirmation: %w", err)
				}
			}
			if confirm != "release" {
				return errors.New("not confirmed; nothing was changed")
			}
			return w.deskPrint(cmd, req)
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "file of your approval key")
	f.StringVar(&by, "by", userName(), "who releases it")
	f.StringVar(&reason, "reason", "", "why")
	f.StringVar(&confirm, "confirm", "", "the word release, for programs")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func signCommand(w *where) *cobra.Command {
	var export, file, key, coin, network string
	cmd := &cobra.Command{
		Use: "sign ID", Short: "Have a payout signed here, or write it for a signer elsewhere", Args: cobra.MaximumNArgs(1),
		Long: `sign ID has the payout signed by the configured key file or wallet.
sign ID --export FILE writes it as a PSBT (BIP 174), in base64, for a signer elsewhere; further transactions of
the same run go to FILE.2, FILE.3 and so on. Bring what is signed back with adit payout import.
sign --file FILE --key KEYFILE signs such a file with a key file on a machine that needs no network, and writes
FILE.signed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return signFile(cmd, file, key, coin, network)
			}
			if len(args) != 1 {
				return errors.New("name the payout, or a file by --file")
			}
			if export == "" {
				return w.deskPrint(cmd, desk.Request{Command: "sign", ID: args[0]})
			}
			r, err := w.deskAsk(cmd, desk.Request{Command: "sign", ID: args[0], Export: true})
			if err != nil {
				return err
			}
			var packets [][]byte
			if err := json.Unmarshal(r.Result, &packets); err != nil {
				return fmt.Errorf("read the exported payout: %w", err)
			}
			for i, p := range packets {
				path := export
				if i > 0 {
					path = fmt.Sprintf("%s.%d", export, i+1)
				}
				if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(p)+"\n"), 0o600); err != nil {
					return fmt.Errorf("write the payout for signing: %w", err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), r.Text)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&export, "export", "", "file to write the PSBT to")
	f.StringVar(&file, "file", "", "PSBT to sign with --key, without a server")
	f.StringVar(&key, "key", "", "key file for --file")
	f.StringVar(&coin, "coin", "bitcoin", "coin of the key file")
	f.StringVar(&network, "network", "mainnet", "network of the key file")
	return cmd
}

// signFile signs a PSBT with a key file.
func signFile(cmd *cobra.Command, file, keyFile, coin, network string) error {
	chain, err := chains.Find(coin, network)
	if err != nil {
		return err
	}
	key, err := openKeyFile(keyFile, chain.Params())
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	pkt, err := sign.Parse(b)
	if err != nil {
		return err
	}
	if pkt, err = key.Sign(cmd.Context(), pkt); err != nil {
		return err
	}
	text, err := pkt.B64Encode()
	if err != nil {
		return fmt.Errorf("write psbt: %w", err)
	}
	for i, o := range pkt.UnsignedTx.TxOut {
		address, err := chain.Address(o.PkScript)
		if err != nil {
			address = fmt.Sprintf("script %x", o.PkScript)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "output %d\t%d\t%s\n", i, o.Value, address)
	}
	if err := os.WriteFile(file+".signed", []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the signed payout: %w", err)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "signed:", file+".signed")
	return err
}

// approverCommand makes an approval key.
func approverCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "approver FILE", Short: "Make your approval key and print its lines for the configuration", Args: cobra.ExactArgs(1),
		Long: `approver writes a new ed25519 key to FILE, encrypted to an age identity in FILE.identity, or by the passphrase in
ADIT_KEY_PASSPHRASE when that is set. The key approves payouts; it moves no money by itself.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			lock := sign.Lock{IdentityFile: path + ".identity"}
			if phrase := os.Getenv(passphraseEnv); phrase != "" {
				lock = sign.Lock{Passphrase: phrase}
			}
			p, err := sign.CreatePerson(path, name, lock)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "[[payout.approver]]\nname = %q\nkey = %q\n", p.Name, p.Public())
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", userName(), "your name, as it stands in the ledger")
	return cmd
}

// addressCommand prints the address of a descriptor.
func addressCommand() *cobra.Command {
	var coin, network string
	cmd := &cobra.Command{
		Use: "address DESCRIPTOR", Short: "Print the reward address of a descriptor such as wsh(sortedmulti(2,KEY,KEY,KEY))", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chain, err := chains.Find(coin, network)
			if err != nil {
				return err
			}
			s, err := sign.ParseDescriptor(args[0])
			if err != nil {
				return err
			}
			address, err := chain.Address(s.Script)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "reward_address = %q\ndescriptor = %q\n", address, args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&coin, "coin", "bitcoin", "coin")
	cmd.Flags().StringVar(&network, "network", "mainnet", "network")
	return cmd
}
