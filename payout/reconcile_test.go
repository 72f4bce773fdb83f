package payout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// forge makes a ledger anew, with a right chain of hashes, from entries that were changed or left out.
func (w *world) forge(change func(ledger.Entry) (ledger.Entry, bool)) {
	w.t.Helper()
	var kept []ledger.Entry
	for e, err := range w.book.Entries(0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if e, ok := change(e); ok {
			kept = append(kept, e)
		}
	}
	if err := w.book.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.dir = w.t.TempDir()
	w.start()
	for _, e := range kept {
		w.post(e)
	}
}

func edit(t testing.TB, e *ledger.Entry, change func(*BatchDoc)) {
	t.Helper()
	d := new(BatchDoc)
	if err := json.Unmarshal(e.Body, d); err != nil {
		t.Fatal(err)
	}
	change(d)
	e.Body = mustJSON(t, d)
}

// TestPlantedFaults plants a fault at a time into ledger or chain: each is found, and named with the entry or the
// transaction, and the amount. Doubled credits, altered fee schedules and altered slices are found by the audit of
// shares, which has its own tests; here its findings must come through.
func TestPlantedFaults(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		plant func(*world) (want []string)
	}{
		"deleted batch": {func(w *world) []string {
			gone := w.list()[1]
			w.forge(func(e ledger.Entry) (ledger.Entry, bool) {
				return e, e.Subject == nil || e.Subject.ID != gone.ID
			})
			return []string{gone.TxID.String(), "is no payout of this ledger"}
		}},
		"changed amount": {func(w *world) []string {
			d := w.list()[1]
			w.forge(func(e ledger.Entry) (ledger.Entry, bool) {
				if e.Subject != nil && e.Subject.ID == d.ID && e.Kind == "payout.final" {
					edit(t, &e, func(d *BatchDoc) { d.Payees[0].Amount += 5; d.Total += 5 })
				}
				return e, true
			})
			return []string{d.ID, "payees or amounts were changed"}
		}},
		"wrong network fee": {func(w *world) []string {
			d := w.list()[1]
			w.forge(func(e ledger.Entry) (ledger.Entry, bool) {
				if e.Subject != nil && e.Subject.ID == d.ID && e.Kind == "payout.confirmed" {
					for i := range e.Postings {
						if e.Postings[i].Debit == ledger.NetworkFee {
							e.Postings[i].Amount -= 3
						}
					}
				}
				return e, true
			})
			return []string{d.ID, "became confirmed with postings of"}
		}},
		"wrong network fee in the document": {func(w *world) []string {
			d := w.list()[1]
			w.forge(func(e ledger.Entry) (ledger.Entry, bool) {
				if e.Subject != nil && e.Subject.ID == d.ID && e.Kind == "payout.final" {
					edit(t, &e, func(d *BatchDoc) { d.Fee -= 3 })
				}
				return e, true
			})
			return []string{d.ID, fmt.Sprintf("network fee of %s is %d", d.TxID, d.Fee-3)}
		}},
		"unrecorded coinbase": {func(w *world) []string {
			hash, _ := w.node.mine(w.reward, 77_777)
			w.mine(scanLag + 1)
			return []string{hash.String(), "pays the pool 77777", "no record"}
		}},
		"input spent elsewhere": {func(w *world) []string {
			w.rich(1)
			free, err := w.pay.fold.coins(true)
			if err != nil {
				t.Fatal(err)
			}
			w.list()
			if free, err = w.pay.fold.coins(true); err != nil {
				t.Fatal(err)
			}
			coin := free.rest[len(free.rest)-1]
			w.steal(coin.Outpoint, coin.Value)
			w.mine(scanLag + 1)
			return []string{coin.Outpoint.String(), "is no payout of this ledger"}
		}},
		"truncated chain": {func(w *world) []string {
			d := w.list()[1]
			cut := false
			w.forge(func(e ledger.Entry) (ledger.Entry, bool) {
				cut = cut || e.Subject != nil && e.Subject.ID == d.ID && e.Kind == "payout.built"
				return e, !cut
			})
			return []string{"is no payout of this ledger", d.TxID.String()}
		}},
		"moved by somebody else": {func(w *world) []string {
			id := pool.AccountOf(testPool, w.miners[0])
			w.post(ledger.Entry{Kind: "test.gift", Key: "moved", Postings: []ledger.Posting{
				{Debit: ledger.PoolFee, Credit: ledger.MinerInPayout(id), Amount: 5}}})
			return []string{id.String(), "which only payouts may"}
		}},
		"doubled credit": {func(w *world) []string {
			w.opts.Audit = func(context.Context) ([]Difference, error) {
				return []Difference{{What: "block 7: credits + fee + carry are 8, the reward is 4", Amount: 4}}, nil
			}
			w.restart()
			return []string{"credits + fee + carry are 8"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, sign.WPKH)
			for range 2 {
				w.rich(2)
				w.finish()
			}
			w.mine(scanLag)
			r, err := w.pay.Reconcile(ctx, true)
			if err != nil || !r.OK() || r.ScanLast < 10 {
				t.Fatalf("before the fault: %+v, %v", r, err)
			}
			want := c.plant(w)
			if r, err = w.pay.Reconcile(ctx, true); err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, d := range r.Unequal {
				fmt.Fprintf(&all, "%d: %s\n", d.Amount, d.What)
			}
			if r.OK() {
				t.Fatal("nothing was found")
			}
			contains(t, all.String(), want...)
			sends := w.node.sends
			w.rich(2)
			if err := w.run(); err == nil && name != "doubled credit" || w.node.sends != sends && name != "doubled credit" {
				t.Errorf("paid on: %v", err)
			}
		})
	}
}

// gift has a miner send some of what it was paid first back to the pool.
func (w *world) gift(amount int64) build.Outpoint {
	w.t.Helper()
	d := w.list()[0]
	tx := wire.NewMsgTx(2) // a miner sends some of what it got back to the pool
	vout := *d.Payees[2].Vout
	key, private := testKey(w.chain, sign.WPKH, 22), testPrivate(22)
	if !bytes.Equal(d.Outputs[vout].Script, key.Script()) {
		w.t.Fatal("another miner")
	}
	value := int64(d.Outputs[vout].Value)
	tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint((*chainhash.Hash)(d.TxID), vout), nil, nil))
	tx.AddTxOut(wire.NewTxOut(amount, w.reward))
	tx.AddTxOut(wire.NewTxOut(value-amount-2000, key.Script()))
	fetch := txscript.NewCannedPrevOutputFetcher(key.Script(), value)
	sig, err := txscript.WitnessSignature(tx, txscript.NewTxSigHashes(tx, fetch), 0, value, key.Script(), txscript.SigHashAll, private, true)
	if err != nil {
		w.t.Fatal(err)
	}
	tx.TxIn[0].Witness = sig
	if err := w.node.accept(tx); err != nil {
		w.t.Fatal(err)
	}
	return build.Outpoint{TxID: pool.Hash(tx.TxHash())}
}

// TestUnknownReceipt sends the pool a coin: it is booked to suspense once, with a warning, and stops nothing.
func TestUnknownReceipt(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, sign.WPKH)
	w.rich(2)
	w.finish()
	w.gift(546)
	w.mine(scanLag + 1)
	for i := range 2 {
		r, err := w.pay.Reconcile(ctx, true)
		if err != nil || !r.OK() || len(r.Warnings) != 1-i {
			t.Fatalf("%+v: %v", r, err)
		}
	}
	if got := w.book.Balance(ledger.SuspenseUnknown); got != 546 {
		t.Errorf("suspense is %d", got)
	}
	w.rich(1)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	w.node.reorg(scanLag+3+testMaturity+3, true, false)
	if _, err := w.pay.Reconcile(ctx, false); err != nil {
		t.Fatal(err)
	}
	if got := w.book.Balance(ledger.SuspenseUnknown); got != 0 {
		t.Errorf("suspense is %d after its block was orphaned", got)
	}
}

// FuzzReadBlock: a block from a node is read as btcd's library reads it, or refused.
func FuzzReadBlock(f *testing.F) {
	n := newSimNode(f, testMaturity)
	id, _ := n.mine([]byte{0, 1, 7}, 5000)
	raw, err := n.RawBlock(context.Background(), id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		txs, err := readBlock(b)
		if err != nil {
			return
		}
		var block wire.MsgBlock
		if block.Deserialize(bytes.NewReader(b)) != nil {
			return // Litecoin's, or one with a witness flag and no witness
		}
		if len(block.Transactions) != len(txs) {
			t.Fatalf("%d transactions, want %d", len(txs), len(block.Transactions))
		}
		for i, tx := range block.Transactions {
			if got := txs[i].txid(); got != pool.Hash(tx.TxHash()) {
				t.Fatalf("transaction %d has id %s, want %s", i, got, tx.TxHash())
			}
		}
	})
}
