package ledger

import (
	"fmt"

	"github.com/adit-pool/adit/pool"
)

// SetPayees has one document, by the name "coinbase": the newest list of accounts that coinbases pay.
const SetPayees = "coinbase"

// PayeesDoc lists the accounts that the coinbases of blocks on top of Tip may pay, largest amount first. It is on
// disk before any edge has it. Every list is an entry; that of a tip and number is found by [PayeesKey].
type PayeesDoc struct {
	V       int             `json:"v"`
	Tip     pool.Hash       `json:"tip"`
	Height  int64           `json:"height"`  // of Tip
	Number  int             `json:"number"`  // lists for this tip before it
	Expires int64           `json:"expires"` // Unix milliseconds: no job is issued by it from then on
	Payees  []CoinbasePayee `json:"payees"`
}

// CoinbasePayee is one account of a list. Script is where it is paid now, which need not be what its id is made of.
type CoinbasePayee struct {
	Account pool.AccountID `json:"account"`
	Script  Hex            `json:"script"`
	Amount  pool.Amount    `json:"amount"`
}

// PayeesVersion is the format of lists.
const PayeesVersion = 1

// PayeesKey is the key of the entry with a tip's list of a number, from 0.
func PayeesKey(tip pool.Hash, number int) string { return fmt.Sprintf("coinbase/%s/%d", tip, number) }

// List is the list as edges take it.
func (d *PayeesDoc) List() *pool.PayeeList {
	l := &pool.PayeeList{Tip: d.Tip, Expires: d.Expires}
	for _, p := range d.Payees {
		l.Payees = append(l.Payees, pool.CoinbasePayee{Account: p.Account, Script: p.Script, Amount: p.Amount})
	}
	return l
}
