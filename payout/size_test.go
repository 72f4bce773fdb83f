package payout

import (
	"bytes"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

// TestDust holds the rule against the values that Bitcoin Core documents for its default relay rate.
func TestDust(t *testing.T) {
	for _, c := range []struct {
		name string
		head []byte
		size int
		want pool.Amount
	}{
		{"p2pkh", []byte{0x76, 0xa9, 20}, 25, 546},
		{"p2sh", []byte{0xa9, 20}, 23, 540},
		{"p2wpkh", []byte{0, 20}, 22, 294},
		{"p2wsh", []byte{0, 32}, 34, 330},
		{"p2tr", []byte{0x51, 32}, 34, 330},
	} {
		script := append(bytes.Clone(c.head), make([]byte, c.size-len(c.head))...)
		if got := dust(script, 3000); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestFeeCoversSignedSize signs payouts of both key types and compares the fee with the real size.
func TestFeeCoversSignedSize(t *testing.T) {
	for _, typ := range []KeyType{WPKH, TR} {
		w := newWorld(t, typ)
		w.rich(4)
		w.node.feeRate = 7_777
		if err := w.run(); err != nil {
			t.Fatal(err)
		}
		d := w.list()[0]
		tx := new(wire.MsgTx)
		if err := tx.Deserialize(bytes.NewReader(d.Raw)); err != nil {
			t.Fatal(err)
		}
		vsize := int64(tx.SerializeSizeStripped()*3+tx.SerializeSize()+3) / 4
		if d.VSize < vsize || d.VSize > vsize+int64(len(tx.TxIn)) {
			t.Errorf("%s: estimated %d vB, real %d", typ, d.VSize, vsize)
		}
		if want := (pool.Amount(d.VSize)*7_777 + 999) / 1000; d.Fee != want {
			t.Errorf("%s: fee %d, want %d", typ, d.Fee, want)
		}
		var in, out pool.Amount
		for _, i := range d.Inputs {
			in += i.Value
		}
		for _, o := range d.Outputs {
			out += o.Value
		}
		if in-out != d.Fee {
			t.Errorf("%s: inputs - outputs = %d, fee %d", typ, in-out, d.Fee)
		}
	}
}

// TestManyPayees cuts a run at the standard size and pays the rest in the next one.
func TestManyPayees(t *testing.T) {
	w := newWorld(t, WPKH)
	w.find(500_000_000, 1)
	w.mine(testMaturity)
	const n = 3000
	e := ledger.Entry{Kind: "test.gift", Key: "gift"}
	for i := range n {
		script := append([]byte{0, 20, byte(i), byte(i >> 8)}, make([]byte, 18)...)
		id := pool.AccountOf(testPool, script)
		doc := ledger.Entry{Kind: "account.new", Key: "account:" + id.String(), Subject: &ledger.Subject{Set: ledger.SetAccounts, ID: id.String()},
			Body: mustJSON(t, ledger.AccountDoc{Account: id, Script: script})}
		w.batch = append(w.batch, doc)
		e.Postings = append(e.Postings, ledger.Posting{Debit: ledger.MinerAvailable(pool.AccountOf(testPool, w.miners[0])), Credit: ledger.MinerAvailable(id), Amount: pool.Amount(20_000 + i)})
	}
	if _, err := w.book.PostAll(append(w.batch, e)); err != nil {
		t.Fatal(err)
	}
	w.credited[0] = w.book.Balance(ledger.MinerAvailable(pool.AccountOf(testPool, w.miners[0])))
	w.finish()
	all := w.list()
	if len(all) != 2 || all[0].Left == 0 || len(all[0].Payees)+len(all[1].Payees) != n+1 {
		t.Fatalf("%d runs, %d left by the first", len(all), all[0].Left)
	}
	for _, d := range all {
		if d.VSize > 100_000 {
			t.Errorf("%d vB", d.VSize)
		}
	}
	if all[0].Payees[0].Amount < all[0].Payees[1].Amount {
		t.Error("largest amounts do not come first")
	}
	w.verify()
}

func TestFeeOverflow(t *testing.T) {
	if _, _, err := feeFor(maxTxWeight, 1<<62); !errors.Is(err, pool.ErrOverflow) {
		t.Errorf("fee: %v", err)
	}
}
