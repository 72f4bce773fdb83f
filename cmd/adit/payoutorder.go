package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/payout/desk"
)

func orderCommand(w *where) *cobra.Command {
	var req desk.Request
	var file, signature string
	cmd := &cobra.Command{
		Use: "order ACCOUNT", Short: "Change where or when an account is paid, by its owner's signature", Args: cobra.MaximumNArgs(1),
		Long: `order ACCOUNT --to ADDRESS prints the text that the account's owner signs to be paid to another address; with
--threshold, --period (daily, weekly or monthly) and --paused, to be paid on other terms. The owner signs it with the
address that is paid now: by BIP 322 for bc1q… and bc1p…, by signmessage for 1….

order --text FILE --signature SIGNATURE takes the signed text. Another address begins after destination_hours.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				// What was printed has a line end that is not signed.
				for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
					text = text[:len(text)-1]
				}
				return w.deskPrint(cmd, desk.Request{Command: "order", Text: string(text), Signature: []byte(signature)})
			}
			if len(args) != 1 {
				return fmt.Errorf("name the account, or a signed text by --text")
			}
			req.Command, req.Account = "ordertext", args[0]
			return w.deskPrint(cmd, req)
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Address, "to", "", "new address")
	f.Int64Var(&req.Threshold, "threshold", 0, "least amount to be paid, base units")
	f.StringVar(&req.Period, "period", "", "daily, weekly or monthly: least time between two payouts")
	f.BoolVar(&req.Paused, "paused", false, "not to be paid for now")
	f.StringVar(&file, "text", "", "file with the signed text")
	f.StringVar(&signature, "signature", "", "its signature, base64")
	return cmd
}

func caseCommand(w *where) *cobra.Command {
	var req desk.Request
	var key string
	cmd := &cobra.Command{
		Use: "case ACCOUNT", Short: "Pay an account elsewhere whose owner cannot sign: evidence, two approvals, hold period", Args: cobra.ExactArgs(1),
		Long: `case ACCOUNT --to ADDRESS --reason EVIDENCE opens a case. case ACCOUNT --key FILE approves the newest one; it
takes two people other than its author, and begins destination_hours after the second.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Command, req.Account = "case", args[0]
			if key == "" {
				return w.deskPrint(cmd, req)
			}
			r, err := w.deskAsk(cmd, desk.Request{Command: "payee", Account: args[0]})
			if err != nil {
				return err
			}
			var doc payout.PayeeDoc
			if err := json.Unmarshal(r.Result, &doc); err != nil {
				return fmt.Errorf("read the account: %w", err)
			}
			if len(doc.Destinations) == 0 {
				return fmt.Errorf("the account has no case")
			}
			by, signature, err := w.approval(cmd, key, payout.CaseThing(doc.Account, &doc.Destinations[len(doc.Destinations)-1]))
			if err != nil {
				return err
			}
			return w.deskPrint(cmd, desk.Request{Command: "approvecase", Account: args[0], By: by, Signature: signature})
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Address, "to", "", "new address")
	f.StringVar(&req.By, "by", userName(), "who opens the case")
	f.StringVar(&req.Reason, "reason", "", "the evidence")
	f.StringVar(&key, "key", "", "file of your approval key, to approve")
	return cmd
}
