package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/payout/desk"
)

func coinCommand(w *where) *cobra.Command {
	var req desk.Request
	var key string
	var writeOff, restore, takeIn, approve bool
	cmd := &cobra.Command{
		Use: "coin TXID:VOUT", Short: "Write off a lost coin, or take in one that somebody sent: two people", Args: cobra.ExactArgs(1),
		Long: `coin TXID:VOUT --write-off --reason WHY opens a case for a coin of the ledger that is gone for good: spent by
somebody else. --restore opens one for a coin that was written off and is there again; --take-in for a receipt in
suspense:unknown, which becomes the operator's, or with --account that account's.

coin TXID:VOUT --approve approves it, as many people as the policy asks for, one at least, each other than the
author: with --key FILE, or under policy none with --by NAME. With the last approval it is booked.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Coin = args[0]
			for what, on := range map[string]bool{payout.CaseWriteOff: writeOff, payout.CaseRestore: restore, payout.CaseTakeIn: takeIn} {
				if on {
					req.Case = what
				}
			}
			if !approve {
				req.Command = "coin"
				return w.deskPrint(cmd, req)
			}
			req = desk.Request{Command: "approvecoin", Coin: args[0], By: req.By}
			if key == "" {
				return w.deskPrint(cmd, req)
			}
			doc, err := w.coinCase(cmd, args[0])
			if err != nil {
				return err
			}
			if req.By, req.Signature, err = w.approval(cmd, key, payout.CoinThing(doc)); err != nil {
				return err
			}
			return w.deskPrint(cmd, req)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&writeOff, "write-off", false, "the coin is gone for good")
	f.BoolVar(&restore, "restore", false, "a coin that was written off is there again")
	f.BoolVar(&takeIn, "take-in", false, "a coin that somebody sent becomes one of the wallet")
	f.BoolVar(&approve, "approve", false, "approve the case that is open")
	cmd.MarkFlagsOneRequired("write-off", "restore", "take-in", "approve")
	cmd.MarkFlagsMutuallyExclusive("write-off", "restore", "take-in", "approve")
	f.StringVar(&req.Account, "account", "", "account that a receipt is credited to; else the operator")
	f.StringVar(&req.By, "by", userName(), "who opens or approves it")
	f.StringVar(&req.Reason, "reason", "", "why")
	f.StringVar(&key, "key", "", "file of your approval key")
	return cmd
}

// coinCase is the open case of a coin.
func (w *where) coinCase(cmd *cobra.Command, name string) (*payout.CoinDoc, error) {
	coin, err := payout.ParseCoin(name)
	if err != nil {
		return nil, err
	}
	r, err := w.deskAsk(cmd, desk.Request{Command: "suspense"})
	if err != nil {
		return nil, err
	}
	var all struct{ Coins []payout.CoinDoc }
	if err := json.Unmarshal(r.Result, &all); err != nil {
		return nil, fmt.Errorf("read the coins: %w", err)
	}
	for i := range all.Coins {
		if all.Coins[i].Coin == coin && all.Coins[i].Case != nil {
			return &all.Coins[i], nil
		}
	}
	return nil, errors.New("the coin has no case")
}
