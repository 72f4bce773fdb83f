// Package ledgertest opens books for tests of the packages that post to them.
package ledgertest

import (
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// Open opens a book in dir, or in a directory of the test's own when dir is "". It is closed when the
// test ends.
func Open(t testing.TB, poolID, dir string) *ledger.Book {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	b, err := ledger.Open(ledger.Options{Dir: dir, Pool: poolID, Log: zerolog.New(zerolog.NewTestWriter(t))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Fund gives an account an available balance and the wallet as much, as if a block had matured, and posts
// the account's document. key makes it happen once.
func Fund(t testing.TB, b *ledger.Book, key string, account pool.AccountID, script []byte, amount pool.Amount) {
	t.Helper()
	body, err := ledger.Body(ledger.AccountDoc{Account: account, Script: script})
	if err != nil {
		t.Fatal(err)
	}
	entries := []ledger.Entry{{
		Kind: "test.fund", Key: key,
		Postings: []ledger.Posting{{Debit: ledger.Wallet, Credit: ledger.MinerAvailable(account), Amount: amount}},
	}}
	if !b.Has(ledger.SetAccounts, account.String()) {
		entries = append(entries, ledger.Entry{
			Kind: "account.new", Key: "account/" + account.String(),
			Subject: &ledger.Subject{Set: ledger.SetAccounts, ID: account.String()}, Body: body,
		})
	}
	if _, err := b.PostAll(entries); err != nil {
		t.Fatal(err)
	}
}

// CheckBalanced fails the test when debits and credits of the whole book differ.
func CheckBalanced(t testing.TB, b *ledger.Book) {
	t.Helper()
	var sum pool.Amount
	for account, balance := range b.Balances() {
		if account.DebitNormal() {
			sum += balance
		} else {
			sum -= balance
		}
	}
	if sum != 0 {
		t.Errorf("debits exceed credits by %d", sum)
	}
}
