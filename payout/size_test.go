package payout

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/adit-pool/adit/payout/build"
	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// TestFeeCoversSignedSize signs payouts of both key types and compares the fee with the real size.
func TestFeeCoversSignedSize(t *testing.T) {
	for _, typ := range []sign.KeyType{sign.WPKH, sign.TR} {
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

// TestManyPayees divides a run at the standard size: a fan and two parts.
func TestManyPayees(t *testing.T) {
	w := newWorld(t, sign.WPKH)
	const n = 3000
	w.crowd(n)
	w.finish()
	all := w.list()
	if len(all) != 3 || all[0].Kind != KindFan || len(all[1].Payees)+len(all[2].Payees) != n+1 {
		t.Fatalf("%d batches of a run", len(all))
	}
	for i, d := range all {
		if d.VSize > 100_000 {
			t.Errorf("%d vB", d.VSize)
		}
		if i > 0 && (len(d.Inputs) != 1 || d.Inputs[0].Kind != build.KindPart || d.Inputs[0].Batch != all[0].ID || d.Run != all[0].Run) {
			t.Errorf("part %d spends %+v", i, d.Inputs)
		}
	}
	if all[1].Payees[0].Amount < all[2].Payees[0].Amount {
		t.Error("largest amounts do not come first")
	}
	w.verify()
}
