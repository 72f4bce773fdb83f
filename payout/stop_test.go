package payout

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/btcutil/psbt"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// steal spends a coin of the pool by a transaction that is not the pool's, and mines it.
func (w *world) steal(o build.Outpoint, value pool.Amount) {
	w.t.Helper()
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint((*chainhash.Hash)(&o.TxID), o.Vout), nil, nil))
	tx.AddTxOut(wire.NewTxOut(int64(value-500), w.miners[4]))
	fetch := txscript.NewCannedPrevOutputFetcher(w.key.Script(), int64(value))
	sig, err := txscript.WitnessSignature(tx, txscript.NewTxSigHashes(tx, fetch), 0, int64(value), w.key.Script(), txscript.SigHashAll, w.private, true)
	if err != nil {
		w.t.Fatal(err)
	}
	tx.TxIn[0].Witness = sig
	w.node.mempool = nil
	if err := w.node.accept(tx); err != nil {
		w.t.Fatal(err)
	}
	w.node.mine(nil, 0)
}

func TestConflict(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	// Signed and booked as broadcast, but the bytes never arrive.
	w.node.lie = func(what string) lie {
		if what == "send" {
			return timeout
		}
		return honest
	}
	if err := w.run(); !errors.Is(err, ErrNotTaken) {
		t.Fatalf("send that timed out: %v", err)
	}
	d := w.list()[0]
	if d.State != StateBroadcast {
		t.Fatalf("state %s", d.State)
	}
	w.node.lie = nil
	w.steal(d.Inputs[0].Outpoint, d.Inputs[0].Value)

	for range 3 {
		if err := w.run(); !errors.Is(err, ErrConflicted) {
			t.Fatalf("run after the coin was spent: %v", err)
		}
		w.restart()
	}
	w.rich(2) // new balances do not start a new payout
	if err := w.run(); !errors.Is(err, ErrConflicted) {
		t.Fatal(err)
	}
	all := w.list()
	if len(all) != 1 || all[0].State != StateConflicted || *all[0].TxID != *d.TxID {
		t.Fatalf("%d payouts, the first %s", len(all), all[0].State)
	}
	if w.node.sends != 0 {
		t.Fatalf("sent %d times", w.node.sends)
	}
	id := pool.AccountOf(testPool, w.miners[0])
	if got := w.book.Balance(ledger.MinerInPayout(id)); got != d.Payees[0].Amount {
		t.Errorf("in payout %d, want %d: the liability stays", got, d.Payees[0].Amount)
	}
	r, err := w.pay.Reconcile(context.Background(), false)
	if err != nil || r.OK() {
		t.Fatalf("reconciliation finds nothing: %v", err)
	}
	contains(t, r.Unequal[0].What, d.Inputs[0].Outpoint.String())
}

// TestConflictAfterBooking reorganises deeper than the confirmation depth and spends the inputs
// elsewhere, then brings the payout back.
func TestConflictAfterBooking(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.mine(3)
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	d := w.list()[0]
	if d.State != StateConfirmed {
		t.Fatalf("state %s", d.State)
	}
	honest := append([]*wire.MsgBlock(nil), w.node.chain...)
	w.node.reorg(3, true, false)
	w.steal(d.Inputs[0].Outpoint, d.Inputs[0].Value)
	for range 2 {
		if err := w.check(); !errors.Is(err, ErrConflicted) {
			t.Fatal(err)
		}
	}
	id := pool.AccountOf(testPool, w.miners[0])
	if got := w.book.Balance(ledger.MinerInPayout(id)); got != d.Payees[0].Amount {
		t.Errorf("in payout %d after the reversal, want %d", got, d.Payees[0].Amount)
	}
	if got := w.book.Balance(ledger.NetworkFee); got != 0 {
		t.Errorf("network fee %d after the reversal", got)
	}
	w.node.chain, w.node.mempool = honest, nil
	w.finish()
	w.verify()
	if d := w.list()[0]; d.State != StateFinal || d.Turn != 1 {
		t.Errorf("state %s, turn %d", d.State, d.Turn)
	}
}

func TestReorgOfBookedPayout(t *testing.T) {
	w := newWorld(t, sign.TR)
	w.rich(2)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.mine(2)
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	w.node.reorg(2, true, false)
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	if d := w.list()[0]; d.State != StateConfirmed || len(w.node.mempool) != 1 {
		t.Fatalf("state %s, %d in the memory pool: the same bytes must have been sent again", d.State, len(w.node.mempool))
	}
	w.finish()
	w.verify()
}

// TestReorgOfTwo takes two payouts out of the chain at once, of which the second spends the first one's
// baton: the input that is missing then was not spent by anybody.
func TestReorgOfTwo(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.opts.FinalDepth = 50
	w.restart()
	w.rich(2)
	w.find(5_000_000, 1)
	w.mine(testMaturity)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.mine(2)
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	w.post(ledger.Entry{Kind: "test.gift", Key: "gift", Postings: []ledger.Posting{
		{Debit: ledger.PoolFee, Credit: ledger.MinerAvailable(pool.AccountOf(testPool, w.miners[1])), Amount: 20_000}}})
	w.credited[1] += 20_000
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.mine(1)
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	if all := w.list(); len(all) != 2 || all[0].State != StateConfirmed || all[1].State != StateBroadcast {
		t.Fatalf("%d payouts", len(all))
	}
	w.node.reorg(3, true, false)
	if n := len(w.node.onChain()); n != 0 {
		t.Fatalf("%d payouts still on chain", n)
	}
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	w.opts.FinalDepth = 4
	w.restart()
	w.finish()
	w.verify()
}

// TestChainMoves changes the chain between two questions of one look: neither a conflict nor a difference
// may come of it.
func TestChainMoves(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	once := func(at string, change func()) {
		w.node.event = func(what string) {
			if what == at {
				w.node.event = w.event
				change()
			}
		}
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	once("after tip", func() { w.node.mine(nil, 0) })
	if err := w.check(); err != nil {
		t.Fatalf("confirmed meanwhile: %v", err)
	}
	once("after txout", func() { w.node.reorg(1, true, false) })
	if err := w.check(); err != nil {
		t.Fatalf("reorganised meanwhile: %v", err)
	}
	if d := w.list()[0]; d.State != StateBroadcast || len(w.node.mempool) != 1 {
		t.Fatalf("state %s, %d in the memory pool", d.State, len(w.node.mempool))
	}
	once("before txout", func() { once("before txout", func() { w.node.mine(nil, 0) }) })
	r, err := w.pay.Reconcile(context.Background(), false)
	if err != nil || !r.OK() {
		t.Fatalf("confirmed while reconciling: %+v, %v", r, err)
	}
	w.finish()
	w.verify()
}

// TestOldLedger restores a backup from before a payout: nothing may be paid from it.
func TestOldLedger(t *testing.T) {
	for _, earlier := range []int{0, 1} {
		w := newWorld(t, sign.WPKH)
		for range earlier {
			w.rich(2)
			w.finish()
		}
		w.rich(2)
		old := filepath.Join(t.TempDir(), "old")
		w.copyLedger(old)
		w.finish()
		sent := len(w.node.received)
		if err := w.book.Close(); err != nil {
			t.Fatal(err)
		}
		w.dir = old
		w.start()
		if err := w.run(); !errors.Is(err, ErrMismatch) {
			t.Errorf("%d payouts before the backup: %v", earlier, err)
		}
		if len(w.node.received) != sent {
			t.Error("a transaction was sent from the old ledger")
		}
	}
}

// TestTwoHistories lets two copies of a ledger build a payout each before either is on chain: the baton
// lets only one of them through.
func TestTwoHistories(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.finish()
	w.rich(2)
	fork := newWorldIn(t, filepath.Join(t.TempDir(), "fork"), sign.WPKH)
	if err := fork.book.Close(); err != nil {
		t.Fatal(err)
	}
	w.copyLedger(fork.dir)
	fork.node, fork.opts.Node = w.node, w.node
	fork.opts.Threshold = 1_000_000 // pays other accounts
	fork.start()
	advance := func(w *world) *BatchDoc {
		t.Helper()
		d, err := w.pay.Sign(context.Background(), w.built().ID)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a, b := advance(w), advance(fork)
	if *a.TxID == *b.TxID || a.Inputs[0].Outpoint != b.Inputs[0].Outpoint || a.Inputs[0].Kind != build.KindBaton {
		t.Fatalf("two payouts that do not share the baton: %v, %v", a.Inputs[0], b.Inputs[0])
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if err := fork.run(); !errors.Is(err, ErrNotTaken) {
		t.Fatalf("the other history: %v", err)
	}
	w.finish()
	w.verifyChainOnly(a)
	if err := fork.check(); !errors.Is(err, ErrConflicted) {
		t.Fatalf("the other history: %v", err)
	}
}

func (w *world) verifyChainOnly(d *BatchDoc) {
	w.t.Helper()
	if n := len(w.node.onChain()); n != 2 || w.node.onChain()[*d.TxID] == nil {
		w.t.Fatalf("%d payouts on chain, want the first and %s", n, d.TxID)
	}
}

func TestPinnedBaton(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.opts.Baton = &build.Outpoint{TxID: pool.Hash{1}}
	w.restart()
	if err := w.run(); !errors.Is(err, ErrBaton) {
		t.Fatalf("a pin without any payout: %v", err)
	}
	w.opts.Baton = nil
	w.restart()
	w.finish()
	first, value, _ := w.list()[0].Baton()
	if value < batonValue {
		t.Errorf("baton of %d", value)
	}
	w.rich(2)
	w.opts.Baton = &build.Outpoint{TxID: first.TxID, Vout: first.Vout + 1}
	w.restart()
	if err := w.run(); !errors.Is(err, ErrBaton) {
		t.Fatalf("another pin: %v", err)
	}
	w.opts.Baton = &first
	w.restart()
	w.finish()
	w.verify()
}

func TestShort(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	w.rich(1)
	// Everything the wallet has is owed: the fee and the baton cannot be paid.
	id := pool.AccountOf(testPool, w.miners[0])
	w.post(ledger.Entry{Kind: "test.gift", Key: "gift", Postings: []ledger.Posting{
		{Debit: ledger.PoolFee, Credit: ledger.MinerAvailable(id), Amount: w.book.Balance(ledger.PoolFee)}}})
	before := w.book.Head()
	if err := w.run(); !errors.Is(err, ErrShort) {
		t.Fatal(err)
	}
	if w.book.Head() != before {
		t.Error("something was booked")
	}
}

func TestRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.node.feeRate = 900_000
	if _, _, err := w.pay.Plan(ctx); !errors.Is(err, ErrFeeRate) {
		t.Errorf("fee above the ceiling: %v", err)
	}
	w.node.feeRate = 5_000
	plans, _, err := w.pay.Plan(ctx)
	if err != nil || len(plans) != 1 || plans[0].ID != "" || plans[0].State != "" || plans[0].FeeRate != 5_000 {
		t.Fatalf("plan %+v: %v", plans, err)
	}
	d, err := w.pay.Draft(ctx, "author")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.pay.Draft(ctx, "author"); err != nil || again.ID != d.ID {
		t.Errorf("a second draft: %v", err)
	}
	for _, act := range []func(context.Context, string) (*BatchDoc, error){w.pay.Build, w.pay.Sign, w.pay.Broadcast} {
		if got, err := act(ctx, d.ID); !errors.Is(err, ErrState) || got.State != StateFrozen {
			t.Errorf("out of turn: %v", err)
		}
	}
	for range 2 { // each command can be repeated
		if got, err := w.pay.Freeze(ctx, d.ID[:8]); err != nil || got.State != StateFrozen {
			t.Errorf("freeze: %v", err)
		}
	}
	if _, _, err := w.pay.Plan(ctx); !errors.Is(err, ErrOpen) {
		t.Errorf("a plan while a payout is open: %v", err)
	}
	if _, err := w.pay.approveNow(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pay.Draft(ctx, "author"); !errors.Is(err, ErrOpen) {
		t.Errorf("draft beside an open payout: %v", err)
	}
	for range 2 {
		if got, err := w.pay.Cancel(ctx, d.ID, "author", "wrong day"); err != nil || got.State != StateCancelled {
			t.Errorf("cancel: %v", err)
		}
	}
	id := pool.AccountOf(testPool, w.miners[0])
	if got := w.book.Balance(ledger.MinerAvailable(id)); got != w.credited[0] {
		t.Errorf("available %d after cancelling, want %d", got, w.credited[0])
	}
	if _, _, err := w.pay.Show("nonsense"); !errors.Is(err, ErrUnknown) {
		t.Errorf("show: %v", err)
	}
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.finish()
	w.verify()
}

func TestRewardAddress(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	p2pkh := w.miners[4]
	p2sh := append(append([]byte{0xa9, 20}, p2pkh[3:23]...), 0x87)
	for _, script := range [][]byte{p2pkh, p2sh, {0x6a}, nil, append([]byte{0, 32}, make([]byte, 32)...)} {
		o := w.opts
		o.RewardScript = script
		if _, err := New(o); !errors.Is(err, ErrRewardScript) {
			t.Errorf("script %x: %v", script, err)
		}
	}
	w.rich(1)
	w.opts.Signer, w.opts.RewardScript = nil, p2pkh
	w.restart() // a pool that never pays may have such an address
	if _, _, err := w.pay.Plan(context.Background()); !errors.Is(err, ErrRewardScript) {
		t.Errorf("plan: %v", err)
	}
	if err := w.run(); !errors.Is(err, ErrNoSigner) || len(w.list()) != 0 {
		t.Errorf("run without a key: %v", err)
	}
	o := w.opts
	o.RewardScript = w.key.Script()
	o.Signer = testKey(w.chain, sign.TR, 9)
	if _, err := New(o); err == nil {
		t.Error("a key of another address was taken")
	}
}

// badSigner changes the answer of an honest one.
type badSigner struct {
	*sign.Key
	spoil func(*psbt.Packet)
}

func (s *badSigner) Sign(ctx context.Context, pkt *psbt.Packet) (*psbt.Packet, error) {
	pkt, err := s.Key.Sign(ctx, pkt)
	if err == nil {
		s.spoil(pkt)
	}
	return pkt, err
}

func TestBadSigner(t *testing.T) {
	for name, spoil := range map[string]func(*psbt.Packet){
		"amount":       func(p *psbt.Packet) { p.UnsignedTx.TxOut[1].Value++ },
		"output":       func(p *psbt.Packet) { p.UnsignedTx.TxOut = p.UnsignedTx.TxOut[1:] },
		"sequence":     func(p *psbt.Packet) { p.UnsignedTx.TxIn[0].Sequence-- },
		"locktime":     func(p *psbt.Packet) { p.UnsignedTx.LockTime = 1 },
		"none":         func(p *psbt.Packet) { p.Inputs[0].PartialSigs = nil },
		"sighash":      func(p *psbt.Packet) { p.Inputs[0].SighashType = txscript.SigHashNone },
		"sighash byte": func(p *psbt.Packet) { s := p.Inputs[0].PartialSigs[0].Signature; s[len(s)-1] = 0x81 },
		"signature":    func(p *psbt.Packet) { p.Inputs[0].PartialSigs[0].Signature[20] ^= 1 },
		"inputs":       func(p *psbt.Packet) { p.Inputs = nil },
		"nothing":      func(p *psbt.Packet) { *p = psbt.Packet{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sign.WPKH)
			w.rich(1)
			w.opts.Signer = &badSigner{w.key, spoil}
			w.restart()
			if err := w.run(); !errors.Is(err, ErrSigner) {
				t.Fatal(err)
			}
			if d := w.list()[0]; d.State != StateBuilt || w.node.sends != 0 {
				t.Fatalf("state %s, sent %d times", d.State, w.node.sends)
			}
			w.opts.Signer = w.key
			w.restart()
			w.finish()
			w.verify()
		})
	}
}

// TestHeldAndMerged pays two accounts by one output where they share a script, and holds what it cannot
// pay.
func TestHeldAndMerged(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.opts.Threshold = 1
	w.restart()
	w.rich(1)
	unknown := pool.AccountOf(testPool, []byte("nobody"))
	tiny := pool.AccountOf(testPool, testKey(w.chain, sign.WPKH, 99).Script())
	w.post(ledger.Entry{Kind: "account.new", Key: "tiny", Subject: &ledger.Subject{Set: ledger.SetAccounts, ID: tiny.String()},
		Body: mustJSON(t, ledger.AccountDoc{Account: tiny, Script: testKey(w.chain, sign.WPKH, 99).Script()})})
	w.post(ledger.Entry{Kind: "test.gift", Key: "gift", Postings: []ledger.Posting{
		{Debit: ledger.PoolFee, Credit: ledger.MinerAvailable(unknown), Amount: 50_000},
		{Debit: ledger.PoolFee, Credit: ledger.MinerAvailable(tiny), Amount: 293}}})
	docs, _, err := w.pay.Plan(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d := docs[0]
	if len(d.Held) != 2 || len(d.Payees) != len(w.miners) {
		t.Fatalf("%d held, %d payees", len(d.Held), len(d.Payees))
	}
}
