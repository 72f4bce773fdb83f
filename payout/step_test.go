package payout

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// spendPayee lets a miner spend what an unconfirmed payout pays it.
func (w *world) spendPayee(d *BatchDoc, miner byte) {
	w.t.Helper()
	if !w.spends(d, miner) {
		w.t.Fatalf("payout %s does not pay miner %d", d.ID, miner)
	}
}

// spendOne lets any miner spend what an unconfirmed payout pays.
func (w *world) spendOne(d *BatchDoc) {
	for _, miner := range []byte{0, 2} { // those of P2WPKH addresses
		if w.spends(d, miner) {
			return
		}
	}
}

func (w *world) spends(d *BatchDoc, miner byte) bool {
	w.t.Helper()
	key := testKey(w.chain, []sign.KeyType{sign.WPKH, sign.TR}[miner%2], 20+miner)
	for vout, o := range d.Outputs {
		if !bytes.Equal(o.Script, key.Script()) {
			continue
		}
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint((*chainhash.Hash)(d.TxID), uint32(vout)), nil, nil))
		tx.AddTxOut(wire.NewTxOut(int64(o.Value-1000), w.miners[4]))
		fetch := txscript.NewCannedPrevOutputFetcher(o.Script, int64(o.Value))
		sig, err := txscript.WitnessSignature(tx, txscript.NewTxSigHashes(tx, fetch), 0, int64(o.Value), o.Script, txscript.SigHashAll, testPrivate(20+miner), true)
		if err != nil {
			w.t.Fatal(err)
		}
		tx.TxIn[0].Witness = sig
		if len(w.node.conflicting(tx)) > 0 { // spent already
			return false
		}
		w.foreign[pool.Hash(tx.TxHash())] = true
		if err := w.node.accept(tx); err != nil {
			w.t.Fatal(err)
		}
		return true
	}
	return false
}

func TestBump(t *testing.T) {
	ctx := context.Background()
	for _, confirm := range []int{0, 1, 2} { // which version is mined
		w := newWorld(t, sign.TR)
		w.rich(2)
		if err := w.run(); err != nil {
			t.Fatal(err)
		}
		first := w.list()[0]
		mempools := [][]*wire.MsgTx{slices.Clone(w.node.mempool)}
		for i := range 2 {
			d, err := w.pay.Bump(ctx, first.ID, "author", pool.Amount(4_000*(i+1)))
			if err != nil {
				t.Fatal(err)
			}
			if d.State != StateBroadcast || len(d.Earlier) != i+1 || len(w.node.mempool) != 1 {
				t.Fatalf("state %s, %d earlier, %d in the memory pool", d.State, len(d.Earlier), len(w.node.mempool))
			}
			for j, in := range first.Inputs {
				if d.Inputs[j].Outpoint != in.Outpoint {
					t.Error("an input is missing")
				}
			}
			for j := range first.Payees {
				if a, b := first.Outputs[*first.Payees[j].Vout], d.Outputs[*d.Payees[j].Vout]; a.Value != b.Value || !bytes.Equal(a.Script, b.Script) {
					t.Error("a payee's output was changed")
				}
			}
			mempools = append(mempools, slices.Clone(w.node.mempool))
		}
		if _, err := w.pay.Bump(ctx, first.ID, "author", 8_000); !errors.Is(err, ErrFeeRate) {
			t.Errorf("a bump to the same rate: %v", err)
		}
		if _, err := w.pay.Bump(ctx, first.ID, "author", 900_000); !errors.Is(err, ErrFeeRate) {
			t.Errorf("a bump over the ceiling: %v", err)
		}
		w.node.mempool = mempools[confirm]
		w.mine(1)
		w.finish()
		w.verify()
		d := w.list()[0]
		if want := *w.list()[0].TxID; w.node.onChain()[want] == nil || len(d.Earlier) != 2 {
			t.Errorf("version %d: the ledger follows %s", confirm, want)
		}
	}
}

func TestBumpByChild(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	d := w.list()[0]
	w.spendPayee(d, 2)
	child, err := w.pay.Bump(ctx, d.ID, "author", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	if child.Kind != KindChild || child.Of != d.ID || child.State != StateBroadcast || len(w.node.mempool) != 3 {
		t.Fatalf("%s of %s is %s, %d in the memory pool", child.Kind, child.Of, child.State, len(w.node.mempool))
	}
	if both := (d.Fee + child.Fee) * 1000 / pool.Amount(d.VSize+child.VSize); both < 9_990 || both > 10_100 {
		t.Errorf("both pay %d per kvB", both)
	}
	if _, err := w.pay.Bump(ctx, d.ID, "author", 20_000); !errors.Is(err, ErrOpen) {
		t.Errorf("a second child: %v", err)
	}
	w.finish()
	w.verify()
	w.rich(2)
	w.finish()
	w.verify()
}

func TestCancelSigned(t *testing.T) {
	ctx := context.Background()
	for _, winner := range []string{"cancel", "payout"} {
		for _, earlier := range []bool{false, true} { // with or without a baton to spend
			w := newWorld(t, sign.WPKH)
			if earlier {
				w.rich(1)
				w.finish()
			}
			w.rich(2)
			if err := w.run(); err != nil {
				t.Fatal(err)
			}
			d := w.list()[len(w.list())-1]
			sent := slices.Clone(w.node.mempool)
			c, err := w.pay.Cancel(ctx, d.ID, "author", "wrong address")
			if err != nil {
				t.Fatal(err)
			}
			if c.Kind != KindCancel || c.State != StateBroadcast || c.Inputs[0].Outpoint != d.Inputs[0].Outpoint || len(w.node.mempool) != 1 {
				t.Fatalf("%s is %s, %d in the memory pool", c.Kind, c.State, len(w.node.mempool))
			}
			if again, err := w.pay.Cancel(ctx, d.ID, "author", "wrong address"); err != nil || again.ID != c.ID {
				t.Errorf("cancelled again: %v", err)
			}
			if winner == "payout" {
				w.node.mempool = sent
				w.mine(1)
			}
			w.finish()
			w.verify()
			d, c = w.pay.fold.byID[d.ID], w.pay.fold.byID[c.ID]
			if winner == "payout" && (d.State != StateFinal || c.State != StateReplaced) || winner == "cancel" && (d.State != StateCancelled || c.State != StateFinal) {
				t.Errorf("%s wins: the payout is %s, the cancel %s", winner, d.State, c.State)
			}
			if winner == "cancel" && len(w.list()) < 3 {
				t.Error("the amounts were not paid by another payout")
			}
		}
	}
}

// TestPaidAfterCancel reorganises the chain below a cancel that was final and has the payout in it instead: it is
// booked, and what was freed is taken back.
func TestPaidAfterCancel(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	d := w.list()[0]
	height, sent := len(w.node.chain), slices.Clone(w.node.mempool)
	if _, err := w.pay.Cancel(context.Background(), d.ID, "author", "wrong address"); err != nil {
		t.Fatal(err)
	}
	w.opts.Limits.Run = 1 // so that no other payout is made
	w.restart()
	for range 8 {
		w.mine(1)
		_ = w.check()
	}
	if d = w.pay.fold.byID[d.ID]; d.State != StateCancelled {
		t.Fatalf("the payout is %s", d.State)
	}
	w.node.chain, w.node.mempool = w.node.chain[:height], sent
	for range 12 {
		w.mine(1)
	}
	_ = w.check()
	if d = w.pay.fold.byID[d.ID]; d.State != StateConfirmed && d.State != StateFinal {
		t.Fatalf("the payout is %s", d.State)
	}
	id := pool.AccountOf(testPool, w.miners[0])
	if got := w.book.Balance(ledger.MinerAvailable(id)); got != 0 {
		t.Errorf("available %d", got)
	}
}

func TestPartsCancelledWithFan(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.parts()
	w.rich(2)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	all := w.list()
	if len(all) != 4 || all[0].State != StateBroadcast || all[1].State != StateSigned {
		t.Fatalf("%d batches, %s, %s", len(all), all[0].State, all[1].State)
	}
	if _, err := w.pay.Cancel(context.Background(), all[1].ID, "author", "not today"); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		w.mine(1)
		_ = w.check()
		_ = w.check()
	}
	for _, d := range w.list()[:4] {
		if d.State != StateCancelled {
			t.Errorf("%s %d is %s", d.Kind, d.Part, d.State)
		}
	}
	w.finish()
	w.verify()
}

// crowd credits many accounts.
func (w *world) crowd(n int) {
	w.t.Helper()
	w.find(500_000_000, 1)
	w.mine(testMaturity)
	w.crowdOf(n)
}

// crowdOf gives what the first miner has to many accounts.
func (w *world) crowdOf(n int) {
	w.t.Helper()
	e := ledger.Entry{Kind: "test.gift", Key: "gift"}
	var entries []ledger.Entry
	first := pool.AccountOf(testPool, w.miners[0])
	for i := range n {
		script := append([]byte{0, 20, byte(i), byte(i >> 8), byte(i >> 16)}, make([]byte, 17)...)
		id := pool.AccountOf(testPool, script)
		entries = append(entries, ledger.Entry{Kind: "account.new", Key: "account:" + id.String(), Subject: &ledger.Subject{Set: ledger.SetAccounts, ID: id.String()},
			Body: mustJSON(w.t, ledger.AccountDoc{Account: id, Script: script})})
		e.Postings = append(e.Postings, ledger.Posting{Debit: ledger.MinerAvailable(first), Credit: ledger.MinerAvailable(id), Amount: pool.Amount(20_000 + i%5_000)})
	}
	if _, err := w.book.PostAll(append(entries, e)); err != nil {
		w.t.Fatal(err)
	}
	w.credited[0] = w.book.Balance(ledger.MinerAvailable(first))
}

// TestFanCrash kills the process before and after every posting and every call of a run of several transactions.
func TestFanCrash(t *testing.T) {
	step := 4
	if raceEnabled {
		step = 150
	}
	for at := 1; ; at += step {
		w := newWorldIn(t, t.TempDir(), sign.WPKH)
		w.parts()
		w.rich(2)
		w.countdown = at
		for range 6 {
			_ = w.run()
			_ = w.check()
			w.mine(1)
		}
		w.countdown = 0
		w.finish()
		w.verify()
		if n := len(w.list()); n < 4 {
			t.Fatalf("%d batches, want a fan and three parts", n)
		}
		_ = w.book.Close()
		if w.crashed == "" {
			if at < 100 {
				t.Fatalf("only %d places to be killed at", at)
			}
			return
		}
	}
}

func TestFeeFromPayees(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.opts.FeeFrom = FeeFromPayees
	w.opts.Threshold = 600
	w.restart()
	w.rich(2)
	w.find(20_000, 5, 3, 2, 1, 1)
	w.mine(testMaturity)
	w.node.feeRate = 100_000
	w.finish()
	w.verify()
	d := w.list()[0]
	var borne pool.Amount
	for _, q := range d.Payees {
		borne += q.Fee
		if got := d.Outputs[*q.Vout].Value; got != q.Amount-q.Fee || got < build.Dust(q.Script, 3000) {
			t.Errorf("%s gets %d of %d, fee %d", q.Address, got, q.Amount, q.Fee)
		}
	}
	if borne != d.Fee || w.book.Balance(ledger.NetworkFee) != 0 {
		t.Errorf("payees bear %d of %d", borne, d.Fee)
	}
}

// people are approvers with their keys.
func people(names ...string) (all []Approver, keys map[string]ed25519.PrivateKey) {
	keys = map[string]ed25519.PrivateKey{}
	for i, name := range names {
		seed := make([]byte, 32)
		seed[0] = byte(i + 1)
		keys[name] = ed25519.NewKeyFromSeed(seed)
		all = append(all, Approver{Name: name, Key: keys[name].Public().(ed25519.PublicKey)})
	}
	return all, keys
}

func TestTwoPeople(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	var keys map[string]ed25519.PrivateKey
	w.opts.Approvers, keys = people("alice", "bob", "carol")
	w.opts.Policy = PolicyTwo
	w.restart()
	w.rich(2)
	if err := w.run(); !errors.Is(err, ErrApproval) {
		t.Fatalf("run without approvals: %v", err)
	}
	docs, _, err := w.pay.Show(w.list()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.pay.Cancel(ctx, docs[0].ID, "alice", "to be drafted by a person"); err != nil {
		t.Fatal(err)
	}
	d, err := w.pay.Draft(ctx, "Alice")
	if err != nil {
		t.Fatal(err)
	}
	run, err := VerifyRun([]*BatchDoc{d})
	if err != nil {
		t.Fatal(err)
	}
	text := ApprovalText(testPool, run)
	for name, c := range map[string]struct {
		by  string
		sig []byte
	}{
		"author":     {"alice", ed25519.Sign(keys["alice"], text)},
		"stranger":   {"dave", ed25519.Sign(keys["bob"], text)},
		"other key":  {"bob", ed25519.Sign(keys["carol"], text)},
		"other run":  {"bob", ed25519.Sign(keys["bob"], ApprovalText(testPool, docs[0].ID))},
		"other pool": {"bob", ed25519.Sign(keys["bob"], ApprovalText("other", run))},
		"none":       {"bob", nil},
	} {
		if got, err := w.pay.Approve(ctx, d.ID, c.by, c.sig); !errors.Is(err, ErrApproval) || got.State != StateFrozen || len(got.Approvals) != 0 {
			t.Errorf("approval by %s: %v", name, err)
		}
	}
	if d, err = w.pay.Approve(ctx, d.ID, "bob", ed25519.Sign(keys["bob"], text)); err != nil || d.State != StateFrozen {
		t.Fatalf("%s: %v", d.State, err)
	}
	if _, err = w.pay.Approve(ctx, d.ID, "Bob", ed25519.Sign(keys["bob"], text)); !errors.Is(err, ErrApproval) {
		t.Errorf("bob twice: %v", err)
	}
	w.restart()
	if err := w.run(); !errors.Is(err, ErrApproval) {
		t.Errorf("run after one approval: %v", err)
	}
	if d, err = w.pay.Approve(ctx, d.ID, "carol", ed25519.Sign(keys["carol"], text)); err != nil || d.State != StateApproved {
		t.Fatalf("%s: %v", d.State, err)
	}
	// A key that is taken off the file takes its approvals with it.
	kept := w.opts.Approvers
	w.opts.Approvers, _ = people("alice", "bob", "erin")
	w.restart()
	if _, err := w.pay.Build(ctx, d.ID); !errors.Is(err, ErrApproval) {
		t.Errorf("built with an approval of no key on file: %v", err)
	}
	w.opts.Approvers = kept
	w.restart()
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.mine(2)
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]Approver{kept[:1], {kept[0], kept[0]}, {kept[0], {Name: "x", Key: kept[0].Key}}} {
		o := w.opts
		o.Approvers = bad
		if _, err := New(o); err == nil {
			t.Errorf("%d approvers are enough for two people", len(bad))
		}
	}
}

func TestHolds(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	deny := filepath.Join(t.TempDir(), "deny")
	address := func(i int) string { return w.pay.address(w.miners[i]) }
	if err := os.WriteFile(deny, []byte("# list\n"+address(0)+" # bad\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	screen := filepath.Join(t.TempDir(), "screen")
	if err := os.WriteFile(screen, []byte("#!/bin/sh\ngrep -q '"+address(1)+"' && echo '"+address(1)+" on a list'\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.opts.DenyFile, w.opts.Screen = deny, []string{screen}
	w.restart()
	w.rich(2)
	account := func(i int) pool.AccountID { return pool.AccountOf(testPool, w.miners[i]) }
	if _, err := w.pay.Hold(account(2), "clerk", "a court order"); err != nil {
		t.Fatal(err)
	}
	d, err := w.pay.Draft(ctx, "author")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Payees) != 2 || len(d.Held) != 3 {
		t.Fatalf("%d payees, %d held", len(d.Payees), len(d.Held))
	}
	for i, want := range []string{HoldDenied, HoldScreen, HoldPerson} {
		if h := w.pay.fold.payee(account(i)).Hold; h == nil || h.Source != want {
			t.Errorf("miner %d: %+v, want held by %s", i, h, want)
		}
	}
	// A hold after the draft stops the payout.
	if _, err := w.pay.Hold(account(3), "clerk", "asked to wait"); err != nil {
		t.Fatal(err)
	}
	if err := w.run(); !errors.Is(err, ErrHeld) {
		t.Errorf("run with a held payee: %v", err)
	}
	if _, err := w.pay.Cancel(ctx, d.ID, "author", "a payee is held"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", " "} {
		if _, err := w.pay.Release(account(2), "clerk", bad, nil); !errors.Is(err, ErrDecision) {
			t.Errorf("released without a reason: %v", err)
		}
	}
	for i := range 4 {
		if _, err := w.pay.Release(account(i), "clerk", "checked", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.pay.Release(account(2), "clerk", "checked", nil); !errors.Is(err, ErrState) {
		t.Errorf("released twice: %v", err)
	}
	w.finish()
	w.verify()
	if d := w.list()[1]; len(d.Payees) != 5 {
		t.Errorf("%d payees after the release", len(d.Payees))
	}
	// A command that fails, or speaks of somebody else, stops everything.
	for _, bad := range []string{"exit 1", "echo nobody", "sleep 0; echo " + address(4) + "x y"} {
		if err := os.WriteFile(screen, []byte("#!/bin/sh\n"+bad+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		w.rich(1)
		if err := w.run(); err == nil {
			t.Errorf("paid after %q", bad)
		}
	}
}

func TestHoldsUnderPolicy(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	var keys map[string]ed25519.PrivateKey
	w.opts.Approvers, keys = people("alice", "bob")
	w.opts.Policy = PolicyOne
	w.restart()
	w.rich(1)
	account := pool.AccountOf(testPool, w.miners[0])
	doc, err := w.pay.Hold(account, "alice", "a court order")
	if err != nil {
		t.Fatal(err)
	}
	thing := ReleaseThing(account, doc.Hold)
	if _, err := w.pay.Release(account, "alice", "it is over", ed25519.Sign(keys["alice"], ApprovalText(testPool, thing))); !errors.Is(err, ErrApproval) {
		t.Errorf("released by who set it: %v", err)
	}
	if _, err := w.pay.Release(account, "bob", "it is over", nil); !errors.Is(err, ErrApproval) {
		t.Errorf("released without a signature: %v", err)
	}
	if doc, err = w.pay.Release(account, "bob", "it is over", ed25519.Sign(keys["bob"], ApprovalText(testPool, thing))); err != nil || doc.Hold != nil {
		t.Errorf("not released: %v", err)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	f := func(l Limits, want error, payees int) {
		t.Helper()
		w.opts.Limits = l
		w.restart()
		docs, _, err := w.pay.Plan(context.Background())
		if !errors.Is(err, want) {
			t.Errorf("%+v: %v", l, err)
		} else if err == nil && len(docs[0].Payees) != payees {
			t.Errorf("%+v: %d payees", l, len(docs[0].Payees))
		}
	}
	f(Limits{Payee: 1_000_000}, nil, 2)
	f(Limits{Run: 9_000_000}, ErrLimit, 0)
	f(Limits{Day: 9_000_000}, ErrLimit, 0)
	f(Limits{UnknownHold: true}, ErrNothing, 0)
	f(Limits{Run: 9_800_000, Day: 9_900_000}, nil, 5)
	w.finish()
	w.rich(1)
	f(Limits{Day: 9_900_000}, ErrLimit, 0)
	real := w.opts.Now
	w.opts.Now = func() time.Time { return real().Add(-time.Hour) } // a clock set back opens nothing
	f(Limits{Day: 9_900_000}, ErrLimit, 0)
	w.opts.Now = func() time.Time { return real().Add(25 * time.Hour) }
	f(Limits{Day: 9_900_000, UnknownHold: true}, nil, 5)
}

func TestHalt(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	if _, err := w.pay.Halt(true, "clerk", "something is wrong"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if err := w.run(); !errors.Is(err, ErrHalted) || len(w.list()) != 0 {
		t.Fatalf("run while halted: %v", err)
	}
	if _, err := w.pay.Halt(false, "clerk", "it was nothing"); err != nil {
		t.Fatal(err)
	}
	d := w.built()
	if _, err := w.pay.Halt(true, "clerk", "again"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pay.Sign(ctx, d.ID); !errors.Is(err, ErrHalted) {
		t.Errorf("signed while halted: %v", err)
	}
	if _, _, err := w.pay.Export(ctx, d.ID); !errors.Is(err, ErrHalted) {
		t.Errorf("exported while halted: %v", err)
	}
	if _, err := w.pay.Halt(false, "clerk", "go on"); err != nil {
		t.Fatal(err)
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pay.Halt(true, "clerk", "stop"); err != nil {
		t.Fatal(err)
	}
	w.node.mempool = nil
	sends := w.node.sends
	if err := w.check(); err != nil || w.node.sends != sends {
		t.Errorf("sent again while halted: %v", err)
	}
	if _, err := w.pay.Halt(false, "clerk", "go on"); err != nil {
		t.Fatal(err)
	}
	w.finish()
	w.verify()
}

// TestOfflineMultisig pays from a 2-of-3 address: out as a PSBT, back in two parts.
func TestOfflineMultisig(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	var keys []*sign.Key
	list := ""
	for i := range 3 {
		keys = append(keys, testKey(w.chain, sign.WPKH, byte(40+i)))
		list += "," + keys[i].Public()
	}
	source, err := sign.ParseDescriptor("wsh(sortedmulti(2" + list + "))")
	if err != nil {
		t.Fatal(err)
	}
	w.opts.Signer, w.opts.RewardScript, w.opts.Sources = nil, source.Script, []sign.Source{source}
	w.reward = source.Script
	w.restart()
	signed := func(packet []byte, by int) []byte {
		t.Helper()
		pkt, err := sign.Parse(packet)
		if err == nil {
			pkt, err = keys[by].Sign(ctx, pkt)
		}
		if err != nil {
			t.Fatal(err)
		}
		return serialised(t, pkt)
	}
	for round := range 2 {
		w.rich(2)
		if err := w.run(); !errors.Is(err, ErrNoSigner) {
			t.Fatalf("run without a signer: %v", err)
		}
		d := w.builtAs("author")
		packets, d, err := w.pay.Export(ctx, d.ID)
		if err != nil || len(packets) != 1 || !d.Exported {
			t.Fatalf("%d packets: %v", len(packets), err)
		}
		changed, err := sign.Parse(signed(packets[0], 0))
		if err != nil {
			t.Fatal(err)
		}
		changed.UnsignedTx.TxOut[1].Value--
		if _, err := w.pay.Import(ctx, d.ID, serialised(t, changed)); !errors.Is(err, ErrSigner) {
			t.Errorf("a changed transaction: %v", err)
		}
		other, err := sign.Parse(signed(packets[0], 0))
		if err != nil {
			t.Fatal(err)
		}
		other.Inputs[0].SighashType = txscript.SigHashNone
		if _, err := w.pay.Import(ctx, d.ID, serialised(t, other)); !errors.Is(err, ErrSigner) {
			t.Errorf("another sighash: %v", err)
		}
		if _, err := w.pay.Import(ctx, d.ID, packets[0]); !errors.Is(err, ErrIncomplete) {
			t.Errorf("unsigned: %v", err)
		}
		if _, err := w.pay.Import(ctx, d.ID, signed(packets[0], round)); !errors.Is(err, ErrIncomplete) {
			t.Errorf("one signature: %v", err)
		}
		w.restart()
		if _, err := w.pay.Import(ctx, d.ID, signed(packets[0], round)); !errors.Is(err, ErrIncomplete) {
			t.Errorf("the same signature again: %v", err)
		}
		if d, err = w.pay.Import(ctx, d.ID, signed(packets[0], 2)); err != nil || d.State != StateSigned {
			t.Fatalf("two signatures: %s, %v", d.State, err)
		}
		if d, err = w.pay.Broadcast(ctx, d.ID); err != nil || d.State != StateBroadcast {
			t.Fatalf("%s, %v", d.State, err)
		}
		tx := new(wire.MsgTx)
		if err := tx.Deserialize(bytes.NewReader(d.Raw)); err != nil {
			t.Fatal(err)
		}
		if vsize := int64(tx.SerializeSizeStripped()*3+tx.SerializeSize()+3) / 4; d.VSize < vsize || d.VSize > vsize+int64(len(tx.TxIn)) {
			t.Errorf("estimated %d vB, real %d", d.VSize, vsize)
		}
		for range 5 {
			w.mine(1)
			if err := w.check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.verify()
}

func serialised(t *testing.T, pkt *psbt.Packet) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := pkt.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestExportedCannotBeUndone: what left this program is cancelled on the chain alone.
func TestExportedCannotBeUndone(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	d := w.built()
	packets, _, err := w.pay.Export(ctx, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.pay.Cancel(ctx, d.ID, "author", "not today")
	if err != nil || c.Kind != KindCancel {
		t.Fatalf("%s: %v", c.Kind, err)
	}
	// Somebody signs and sends it all the same, before the cancel is in a block.
	pkt, err := sign.Parse(packets[0])
	if err == nil {
		pkt, err = w.key.Sign(ctx, pkt)
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := sign.Finish(packets[0], mustSpent(t, w, d), pkt)
	if err != nil {
		t.Fatal(err)
	}
	tx := new(wire.MsgTx)
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	w.node.mempool = []*wire.MsgTx{tx}
	w.mine(1)
	w.node.received[*d.TxID] = raw
	for range 6 {
		_ = w.check()
		w.mine(1)
	}
	d, c = w.pay.fold.byID[d.ID], w.pay.fold.byID[c.ID]
	if d.State != StateFinal || c.State != StateReplaced {
		t.Fatalf("the payout is %s, the cancel %s", d.State, c.State)
	}
	w.finish()
	w.verify()
}

func mustSpent(t *testing.T, w *world, d *BatchDoc) []sign.Spent {
	t.Helper()
	spent, err := w.pay.spentBy(d)
	if err != nil {
		t.Fatal(err)
	}
	return spent
}

// TestRewardAddressChanged pays on with a new reward address: the baton and coins of the old one are spent with
// its key.
func TestRewardAddressChanged(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.finish()
	old := w.key
	w.key, w.private = testKey(w.chain, sign.TR, 8), testPrivate(8)
	w.opts.Signer, w.opts.RewardScript, w.reward = w.key, w.key.Script(), w.key.Script()
	w.restart()
	w.rich(2)
	if err := w.run(); err == nil {
		t.Fatal("paid without the baton")
	}
	w.opts.Signer = sign.Keys{w.key, old}
	w.own = [][]byte{old.Script()}
	w.restart()
	w.finish()
	w.verify()
	d := w.list()[1]
	if d.Inputs[0].Kind != build.KindBaton || !bytes.Equal(d.Inputs[0].Script, old.Script()) || !bytes.Equal(d.Outputs[0].Script, w.key.Script()) {
		t.Error("the baton did not move to the new address")
	}
}

// TestGiveUp ends a conflict by a person, once it is as deep as final.
func TestGiveUp(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.node.lie = func(what string) lie {
		if what == "send" {
			return timeout
		}
		return honest
	}
	_ = w.run()
	w.node.lie = nil
	d := w.list()[0]
	w.steal(d.Inputs[0].Outpoint, d.Inputs[0].Value)
	if err := w.check(); !errors.Is(err, ErrConflicted) {
		t.Fatal(err)
	}
	if _, err := w.pay.Cancel(ctx, d.ID, "clerk", "the coin was stolen"); !errors.Is(err, ErrConflicted) {
		t.Errorf("given up at once: %v", err)
	}
	w.mine(5)
	if d, err := w.pay.Cancel(ctx, d.ID, "clerk", "the coin was stolen"); err != nil || d.State != StateCancelled {
		t.Fatalf("%s: %v", d.State, err)
	}
	if err := w.run(); !errors.Is(err, ErrMismatch) {
		t.Errorf("paid on with a coin missing: %v", err)
	}
}
