package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/adit-pool/adit/pool"
)

// Account names a heading of the book: a kind, then parts divided by ':'.
type Account string

// The chart of accounts. Miners' accounts are made by [Miner].
const (
	CoinbaseImmature  Account = "assets:coinbase-immature" // our coinbase outputs, not yet spendable
	Wallet            Account = "assets:wallet"            // spendable outputs of the pool
	Carry             Account = "liab:carry"               // rewards that no account may get
	PoolFee           Account = "income:pool-fee"          // fees of mature blocks
	PoolFeeImmature   Account = "income:pool-fee-immature" // fees of blocks that may still be orphaned
	NetworkFee        Account = "expense:network-fee"      // paid to miners of payout transactions
	OperatorEquity    Account = "equity:operator"          // put in or taken out by the operator
	SuspenseUnknown   Account = "suspense:unknown"         // seen on chain, not explained yet
	minerPrefix               = "liab:miner:"
	maxAccountLength          = 128
	digitsOfAccountID         = 40
)

// Side is which of a miner's three liabilities is meant.
type Side string

// The sides of a miner's account.
const (
	Immature  Side = "immature"  // credited, its block may still be orphaned
	Available Side = "available" // may be paid out
	InPayout  Side = "in_payout" // frozen for a payout batch
)

// ErrAccount reports a name that is not in the chart of accounts.
var ErrAccount = errors.New("not in the chart of accounts")

// Miner names one side of a miner's account.
func Miner(id pool.AccountID, side Side) Account {
	return Account(minerPrefix + id.String() + ":" + string(side))
}

// MinerImmature is what a miner has from blocks that may still be orphaned.
func MinerImmature(id pool.AccountID) Account { return Miner(id, Immature) }

// MinerAvailable is what may be paid out to a miner.
func MinerAvailable(id pool.AccountID) Account { return Miner(id, Available) }

// MinerInPayout is what is frozen for a payout to a miner.
func MinerInPayout(id pool.AccountID) Account { return Miner(id, InPayout) }

// Miner takes a miner's account apart; ok is false for every other account.
func (a Account) Miner() (id pool.AccountID, side Side, ok bool) {
	rest, ok := strings.CutPrefix(string(a), minerPrefix)
	if !ok || len(rest) < digitsOfAccountID+2 || rest[digitsOfAccountID] != ':' {
		return id, "", false
	}
	if strings.ToLower(rest[:digitsOfAccountID]) != rest[:digitsOfAccountID] {
		return id, "", false
	}
	if _, err := hex.Decode(id[:], []byte(rest[:digitsOfAccountID])); err != nil {
		return pool.AccountID{}, "", false
	}
	side = Side(rest[digitsOfAccountID+1:])
	switch side {
	case Immature, Available, InPayout:
		return id, side, true
	}
	return pool.AccountID{}, "", false
}

// DebitNormal reports whether debits raise the balance: assets and expenses. Liabilities, income,
// equity and suspense are raised by credits.
func (a Account) DebitNormal() bool {
	return strings.HasPrefix(string(a), "assets:") || strings.HasPrefix(string(a), "expense:")
}

// guarded accounts hold what is there or what is owed: they do not go below zero unless an entry says so.
func (a Account) guarded() bool {
	return strings.HasPrefix(string(a), "assets:") || strings.HasPrefix(string(a), "liab:")
}

// check accepts the fixed accounts, miners' accounts, and names that extend one of the kinds by parts of
// a-z, 0-9, '-' and '_'.
func (a Account) check() error {
	switch a {
	case CoinbaseImmature, Wallet, Carry, PoolFee, PoolFeeImmature, NetworkFee, OperatorEquity, SuspenseUnknown:
		return nil
	}
	if !a.valid() {
		return fmt.Errorf("account %.140q: %w", string(a), ErrAccount)
	}
	return nil
}

// valid is the rule of names that are not fixed.
func (a Account) valid() bool {
	if len(a) > maxAccountLength {
		return false
	}
	if strings.HasPrefix(string(a), minerPrefix) {
		_, _, ok := a.Miner()
		return ok
	}
	kind, rest, found := strings.Cut(string(a), ":")
	if !found {
		return false
	}
	switch kind {
	case "assets", "liab", "income", "expense", "equity", "suspense":
	default:
		return false
	}
	for part := range strings.SplitSeq(rest, ":") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
