package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/adit-pool/adit/payout"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/chain/bitcoin"
	"github.com/adit-pool/adit/pool/ledger"
)

// quietNode is a node with an empty chain.
type quietNode struct{}

func (quietNode) Tip(context.Context) (pool.Tip, error) { return pool.Tip{}, nil }
func (quietNode) BlockHash(context.Context, int64) (pool.Hash, error) {
	return pool.Hash{}, pool.ErrNoBlock
}
func (quietNode) RawBlock(context.Context, pool.Hash) ([]byte, error) { return nil, pool.ErrNoBlock }
func (quietNode) TxOut(context.Context, pool.Hash, uint32, bool) (*payout.TxOut, error) {
	return nil, nil
}
func (quietNode) Spent(context.Context, pool.Hash, uint32) (bool, error) { return false, nil }
func (quietNode) SendRawTransaction(context.Context, []byte) error       { return errors.New("refused") }
func (quietNode) EstimateFee(context.Context, int) (pool.Amount, error)  { return 0, nil }

const known = "sb1qr2agaqvp3n4lrxhpr2jgffwvw8k4gaxjpysxkr"

// open is the payouts of a pool that owes one account something.
func open(t *testing.T) (*payout.Payouts, *ledger.Book, *pool.Params) {
	t.Helper()
	chain, err := bitcoin.New("simnet")
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(ledger.Options{Dir: t.TempDir(), Pool: "test", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = book.Close() })
	script, err := chain.Script(known)
	if err != nil {
		t.Fatal(err)
	}
	id := pool.AccountOf("test", script)
	body, err := ledger.Body(ledger.AccountDoc{Account: id, Script: script, Address: known})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := book.Post(ledger.Entry{Kind: "account.new", Key: "a", Body: body, Subject: &ledger.Subject{Set: ledger.SetAccounts, ID: id.String()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := book.Post(ledger.Entry{Kind: "test", Key: "b", Postings: []ledger.Posting{{Debit: ledger.Wallet, Credit: ledger.MinerAvailable(id), Amount: 5_000_000}}}); err != nil {
		t.Fatal(err)
	}
	reward := append([]byte{0, 20}, make([]byte, 20)...)
	p, err := payout.New(payout.Options{Pool: "test", Chain: chain, Book: book, Node: quietNode{}, RewardScript: reward, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return p, book, chain.Params()
}

// What a command asks wrongly is refused in words, with its exit code, and nothing is written.
func TestRefusals(t *testing.T) {
	p, book, params := open(t)
	head := book.Head()
	f := func(r Request, code int, words string) {
		t.Helper()
		a, err := Handle(t.Context(), p, params, r)
		if err == nil || Code(err) != code || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v with code %d, want %q with %d (%+v)", r.Command, err, Code(err), words, code, a)
		}
		if book.Head() != head {
			t.Errorf("%s: something was written", r.Command)
			head = book.Head()
		}
	}
	f(Request{Command: "pay"}, Failed, `no command "pay"`)
	for _, command := range []string{"approve", "sign", "broadcast", "bump", "show"} {
		f(Request{Command: command, ID: "abcdef", By: "ann", Reason: "why"}, Failed, "no such payout")
	}
	f(Request{Command: "import", ID: "abcdef", Packet: []byte("psbt")}, Failed, "read psbt")
	f(Request{Command: "cancel", ID: "abcdef", By: "ann", Reason: "why"}, Failed, "no such payout")
	for _, command := range []string{"payee", "hold", "release", "case", "approvecase", "ordertext"} {
		f(Request{Command: command, Account: "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", By: "ann", Reason: "why"}, Failed, "no such account")
		f(Request{Command: command, Account: "SMJ12qn9jNCCXJnTYRz5Yu9ZenERqvYwfg", By: "ann", Reason: "why"}, Failed, "was never credited")
	}
	f(Request{Command: "hold", Account: known, By: "ann"}, Failed, "give a reason")
	f(Request{Command: "release", Account: known, By: "ann", Reason: "why"}, Failed, "is not held")
	f(Request{Command: "case", Account: known, By: "ann"}, Failed, "give a reason")
	f(Request{Command: "case", Account: known, By: "ann", Reason: "letter", Address: "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"}, Failed, "the order is not taken")
	f(Request{Command: "approvecase", Account: known, By: "ann"}, Failed, "no case that waits")
	f(Request{Command: "order", Text: "pay me", Signature: []byte("AA==")}, Failed, "its first line is not")
	f(Request{Command: "order", Text: "adit payout order 1\npool: other\naccount: x\ncounter: 1\npay to: y"}, Failed, `it is for pool "other"`)
	f(Request{Command: "ordertext", Account: known, Period: "hourly"}, Failed, `period "hourly"`)
	f(Request{Command: "ordertext", Account: known, Threshold: -1}, Failed, `threshold "-1"`)
	for _, command := range []string{"coin", "approvecoin"} {
		f(Request{Command: command, Coin: "12:0", Case: payout.CaseWriteOff, By: "ann", Reason: "why"}, Failed, "give TXID:VOUT")
	}
	coin := fmt.Sprintf("%064d:1", 7)
	f(Request{Command: "coin", Coin: coin, Case: payout.CaseWriteOff, By: "ann", Reason: "why"}, Failed, "none of the wallet's free coins")
	f(Request{Command: "coin", Coin: coin, Case: payout.CaseTakeIn, By: "ann", Reason: "why"}, Failed, "is no receipt")
	f(Request{Command: "coin", Coin: coin, Case: payout.CaseRestore, By: "ann", Reason: "why"}, Failed, "was not written off")
	f(Request{Command: "coin", Coin: coin, Case: "burn", By: "ann", Reason: "why"}, Failed, "no case")
	f(Request{Command: "approvecoin", Coin: coin, By: "ann"}, Failed, "no case that waits")
	f(Request{Command: "halt", By: "ann"}, Failed, "give a reason")
	f(Request{Command: "run"}, Later, "") // the pool's coins are not enough
}

// An order's own text signed by nobody is refused, and a signed approval of a policy that asks for none, too.
func TestUnsigned(t *testing.T) {
	p, book, params := open(t)
	a, err := Handle(t.Context(), p, params, Request{Command: "ordertext", Account: known, Threshold: 9})
	if err != nil {
		t.Fatal(err)
	}
	head := book.Head()
	for _, signature := range []string{"", "AA==", "not base64!"} {
		if _, err := Handle(t.Context(), p, params, Request{Command: "order", Text: a.Result.(string), Signature: []byte(signature)}); !errors.Is(err, payout.ErrOrder) {
			t.Errorf("signature %q: %v", signature, err)
		}
	}
	if book.Head() != head {
		t.Error("something was written")
	}
}

// Every kind of refusal has the exit code that docs/payouts.md gives it, wrapped or not.
func TestCode(t *testing.T) {
	for code, kinds := range map[int][]error{
		Done:     {nil},
		Nothing:  {payout.ErrNothing},
		Person:   {payout.ErrApproval, payout.ErrHalted, payout.ErrHeld, payout.ErrStale, payout.ErrNoSigner, payout.ErrIncomplete},
		Differs:  {payout.ErrMismatch, payout.ErrCoinGone},
		Conflict: {payout.ErrConflicted},
		Later:    {payout.ErrShort, payout.ErrFeeRate, payout.ErrLimit, payout.ErrNotTaken, payout.ErrImmature, payout.ErrOpen},
		Failed:   {payout.ErrUnknown, payout.ErrNoAccount, payout.ErrState, payout.ErrSigner, payout.ErrOrder, payout.ErrDecision, errors.New("else")},
	} {
		for _, err := range kinds {
			if got := Code(err); got != code {
				t.Errorf("%v has code %d, want %d", err, got, code)
			}
			if err != nil && Code(fmt.Errorf("while paying: %w", err)) != code {
				t.Errorf("%v, wrapped, has another code", err)
			}
		}
	}
}
