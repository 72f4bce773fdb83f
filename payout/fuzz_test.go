package payout

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/btcsuite/btcd/btcutil/psbt"

	"github.com/adit-pool/adit/payout/sign"
	"github.com/adit-pool/adit/pool"
)

// FuzzFindTx: a block that a node sent is read or refused.
func FuzzFindTx(f *testing.F) {
	chain := newChain(f)
	n := newSimNode(f, testMaturity)
	id, coinbase := n.mine(testKey(chain, sign.WPKH, 3).Script(), 5000)
	raw, err := n.RawBlock(context.Background(), id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	txid := pool.Hash(coinbase.TxHash())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 80 {
			if _, err := findTx(chain, id, b, txid); err == nil {
				t.Fatal("a header cut short was read")
			}
			return
		}
		tx, err := findTx(chain, chain.BlockID((*[80]byte)(b)), b, txid)
		if err != nil {
			return
		}
		if pool.Hash(tx.TxHash()) != txid {
			t.Fatalf("found %s", tx.TxHash())
		}
		var buf bytes.Buffer
		if err := tx.Serialize(&buf); err != nil {
			t.Fatal(err)
		}
		if len(tx.TxIn) == 0 {
			return // such a transaction reads back as one with a witness
		}
		if again, err := parseTx(buf.Bytes()); err != nil || again.TxHash() != tx.TxHash() {
			t.Fatalf("reads back differently: %v", err)
		}
	})
}

// signedBatch is a built batch and its PSBT with signatures.
func signedBatch(tb testing.TB, typ sign.KeyType) (*BatchDoc, *sign.Key, []byte) {
	tb.Helper()
	w := newWorld(tb, typ)
	w.rich(1)
	d := w.built()
	pkt, err := psbt.NewFromRawBytes(bytes.NewReader(d.PSBT), false)
	if err != nil {
		tb.Fatal(err)
	}
	if pkt, err = w.key.Sign(context.Background(), pkt); err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := pkt.Serialize(&b); err != nil {
		tb.Fatal(err)
	}
	return d, w.key, b.Bytes()
}

// FuzzFinish: whatever a signer gives back, only a transaction with the id in the ledger comes out.
func FuzzFinish(f *testing.F) {
	type asked struct {
		d     *BatchDoc
		spent []sign.Spent
	}
	docs := map[bool]asked{}
	for taproot, typ := range map[bool]sign.KeyType{false: sign.WPKH, true: sign.TR} {
		d, k, b := signedBatch(f, typ)
		source, err := sign.SourceOf(k.Script())
		if err != nil {
			f.Fatal(err)
		}
		a := asked{d: d}
		for _, in := range d.Inputs {
			a.spent = append(a.spent, sign.Spent{Value: int64(in.Value), Source: source})
		}
		docs[taproot] = a
		f.Add(taproot, b)
	}
	f.Fuzz(func(t *testing.T, taproot bool, b []byte) {
		pkt, err := sign.Parse(b)
		if err != nil {
			return
		}
		a := docs[taproot]
		raw, _, err := sign.Finish(a.d.PSBT, a.spent, pkt)
		if err != nil {
			return
		}
		tx, err := parseTx(raw)
		if err != nil || pool.Hash(tx.TxHash()) != *a.d.TxID {
			t.Fatalf("another transaction came out: %v", err)
		}
	})
}

// FuzzBatchDoc: a document of the ledger that reads is written back the same.
func FuzzBatchDoc(f *testing.F) {
	d, _, _ := signedBatch(f, sign.WPKH)
	b, err := json.Marshal(d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var d, again BatchDoc
		if json.Unmarshal(b, &d) != nil {
			return
		}
		once, err := json.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(once, &again); err != nil {
			t.Fatal(err)
		}
		if twice, err := json.Marshal(&again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s\n%s", once, twice)
		}
	})
}
