package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/payout/desk"
)

func privacyCommand(w *where) *cobra.Command {
	var req desk.Request
	var file, signature string
	cmd := &cobra.Command{
		Use: "privacy ACCOUNT", Short: "Say who sees an account's page, by its owner's signature", Args: cobra.MaximumNArgs(1),
		Long: `privacy ACCOUNT --show public|hashrate|link prints the text that the account's owner signs, and the key that opens the
page nevertheless: hashrate leaves strangers the hashrates, link leaves them nothing. The owner signs it with the
address that is paid now: by BIP 322 for bc1q… and bc1p…, by signmessage for 1….

privacy --text FILE --signature SIGNATURE takes the signed text. It holds at once. The owner opens the page once as
/user/ADDRESS?key=KEY; programs send the key as Authorization: Bearer KEY.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				return w.deskPrint(cmd, desk.Request{Command: "privacy", Text: strings.TrimRight(string(text), "\r\n"), Signature: []byte(signature)})
			}
			if len(args) != 1 {
				return fmt.Errorf("name the account, or a signed text by --text")
			}
			req.Command, req.Account = "privacytext", args[0]
			return w.deskPrint(cmd, req)
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Show, "show", "", "public, hashrate or link")
	f.StringVar(&file, "text", "", "file with the signed text")
	f.StringVar(&signature, "signature", "", "its signature, base64")
	return cmd
}
