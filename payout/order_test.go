package payout

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// signedText is a BIP 322 signature by miner 0, whose address is P2WPKH.
func (w *world) signedText(secret byte, text string) string {
	w.t.Helper()
	script := testKey(w.chain, sign.WPKH, secret).Script()
	tag := sha256.Sum256([]byte("BIP0322-signed-message"))
	hash := sha256.Sum256(append(append(tag[:], tag[:]...), text...))
	spend := wire.NewMsgTx(0)
	spend.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Index: 0xffffffff}, SignatureScript: append([]byte{0, 32}, hash[:]...)})
	spend.AddTxOut(wire.NewTxOut(0, script))
	tx := wire.NewMsgTx(0)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: spend.TxHash()}})
	tx.AddTxOut(wire.NewTxOut(0, []byte{txscript.OP_RETURN}))
	fetch := txscript.NewCannedPrevOutputFetcher(script, 0)
	witness, err := txscript.WitnessSignature(tx, txscript.NewTxSigHashes(tx, fetch), 0, 0, script, txscript.SigHashAll, testPrivate(secret), true)
	if err != nil {
		w.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := wire.WriteVarInt(&b, 0, uint64(len(witness))); err != nil {
		w.t.Fatal(err)
	}
	for _, item := range witness {
		if err := wire.WriteVarBytes(&b, 0, item); err != nil {
			w.t.Fatal(err)
		}
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestOrder(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	var skip time.Duration
	real := w.opts.Now
	w.opts.Now = func() time.Time { return real().Add(skip) }
	w.restart()
	w.rich(1)
	account := pool.AccountOf(testPool, w.miners[0])
	elsewhere := testKey(w.chain, sign.TR, 90).Script()
	address := w.pay.address(elsewhere)
	text, err := w.pay.OrderText(account.String(), address, Terms{})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][2]string{
		"stranger":    {text, w.signedText(22, text)},
		"other text":  {strings.Replace(text, "counter: 1", "counter: 2", 1), w.signedText(20, text)},
		"old counter": {strings.Replace(text, "counter: 1", "counter: 0", 1), w.signedText(20, strings.Replace(text, "counter: 1", "counter: 0", 1))},
		"other pool":  {strings.Replace(text, "pool: test", "pool: other", 1), w.signedText(20, strings.Replace(text, "pool: test", "pool: other", 1))},
		"no address":  {strings.Replace(text, address, "nowhere", 1), w.signedText(20, strings.Replace(text, address, "nowhere", 1))},
		"more lines":  {text + "\nx: y", w.signedText(20, text+"\nx: y")},
	} {
		if _, err := w.pay.Order(bad[0], bad[1]); !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.pay.Order(text, w.signedText(20, text)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pay.Order(text, w.signedText(20, text)); !errors.Is(err, ErrOrder) {
		t.Errorf("the same order again: %v", err)
	}
	paidTo := func() []byte {
		t.Helper()
		docs, _, err := w.pay.Plan(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range docs[0].Payees {
			if q.Account == account {
				return q.Script
			}
		}
		return nil
	}
	if !bytes.Equal(paidTo(), w.miners[0]) {
		t.Error("paid elsewhere before the hold period was over")
	}
	d, err := w.pay.Draft(context.Background(), "author")
	if err != nil {
		t.Fatal(err)
	}
	skip = 73 * time.Hour
	if err := w.run(); !errors.Is(err, ErrStale) {
		t.Errorf("a draft to the old destination: %v", err)
	}
	if _, err := w.pay.Cancel(context.Background(), d.ID, "author", "out of date"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(paidTo(), elsewhere) {
		t.Error("not paid elsewhere after the hold period")
	}
	// The old address has no say any more. That of P2TR signs too; here its owner pauses by the operator's help.
	text, err = w.pay.OrderText(account.String(), "", Terms{Paused: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.pay.Order(text, w.signedText(20, text)); !errors.Is(err, ErrOrder) {
		t.Errorf("the old address: %v", err)
	}
	other := pool.AccountOf(testPool, w.miners[2])
	for _, terms := range []Terms{{Paused: true}, {Threshold: 1 << 40}} {
		if text, err = w.pay.OrderText(other.String(), "", terms); err != nil {
			t.Fatal(err)
		}
		if _, err := w.pay.Order(text, w.signedText(22, text)); err != nil {
			t.Fatal(err)
		}
		docs, _, err := w.pay.Plan(context.Background())
		if err != nil || len(docs[0].Payees) != 4 {
			t.Errorf("%+v: %d payees, %v", terms, len(docs[0].Payees), err)
		}
	}
	if text, err = w.pay.OrderText(other.String(), "", Terms{Period: Weekly}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pay.Order(text, w.signedText(22, text)); err != nil {
		t.Fatal(err)
	}
	w.finish()
	w.rich(1)
	docs, _, err := w.pay.Plan(context.Background())
	if err != nil || len(docs[0].Payees) != 4 {
		t.Errorf("paid twice in a week: %v", err)
	}
	skip += 8 * 24 * time.Hour
	if docs, _, err = w.pay.Plan(context.Background()); err != nil || len(docs[0].Payees) != 5 {
		t.Errorf("not paid in the next week: %v", err)
	}
}

func TestCase(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	var skip time.Duration
	real := w.opts.Now
	w.opts.Now = func() time.Time { return real().Add(skip) }
	var keys map[string]ed25519.PrivateKey
	w.opts.Approvers, keys = people("alice", "bob", "carol")
	w.restart()
	w.rich(1)
	account := pool.AccountOf(testPool, w.miners[4])
	elsewhere := testKey(w.chain, sign.TR, 91).Script()
	doc, err := w.pay.Case(account, w.pay.address(elsewhere), "alice", "lost key, passport seen")
	if err != nil {
		t.Fatal(err)
	}
	text := ApprovalText(testPool, CaseThing(account, &doc.Destinations[0]))
	if _, err := w.pay.ApproveCase(account, "alice", ed25519.Sign(keys["alice"], text)); !errors.Is(err, ErrApproval) {
		t.Errorf("approved by its author: %v", err)
	}
	to := func() []byte { w.list(); return w.pay.fold.destination(testPool, account, w.opts.Now().UnixMilli()) }
	for _, name := range []string{"bob", "carol"} {
		skip += 100 * time.Hour
		if !bytes.Equal(to(), w.miners[4]) {
			t.Fatalf("paid elsewhere before %s approved", name)
		}
		if _, err := w.pay.ApproveCase(account, name, ed25519.Sign(keys[name], text)); err != nil {
			t.Fatal(err)
		}
	}
	skip += 71 * time.Hour
	if !bytes.Equal(to(), w.miners[4]) {
		t.Error("paid elsewhere before the hold period was over")
	}
	skip += 2 * time.Hour
	if !bytes.Equal(to(), elsewhere) {
		t.Error("not paid elsewhere")
	}
}

// FuzzParseOrder: a text from outside is an order or refused.
func FuzzParseOrder(f *testing.F) {
	f.Add("adit payout order 1\npool: test\naccount: 0000000000000000000000000000000000000000\ncounter: 1\npay to: x")
	f.Add("adit payout order 1\npool: test\naccount: 0000000000000000000000000000000000000000\ncounter: 1\nthreshold: 5\nperiod: daily\npaused: no")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOrder(text, "test")
		if err != nil || o.terms == nil {
			return
		}
		if _, ok := o.terms.Period.length(); !ok || o.terms.Threshold < 0 || o.payTo != "" {
			t.Fatalf("%q: %+v", text, o.terms)
		}
	})
}
