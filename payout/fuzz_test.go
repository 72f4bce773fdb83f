package payout

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/btcsuite/btcd/btcutil/psbt"

	"github.com/adit-pool/adit/pool"
)

// FuzzParseKey: a decrypted key file is refused or comes back the same.
func FuzzParseKey(f *testing.F) {
	chain := newChain(f)
	for _, typ := range []KeyType{WPKH, TR} {
		b, err := testKey(chain, typ, 3).marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKey(b, chain.Params())
		if err != nil {
			return
		}
		again, err := k.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if other, err := parseKey(again, chain.Params()); err != nil || !other.private.Key.Equals(&k.private.Key) {
			t.Fatalf("not the same key: %v", err)
		}
	})
}

// FuzzOpenKey: an encrypted file from anywhere never panics.
func FuzzOpenKey(f *testing.F) {
	chain := newChain(f)
	f.Add([]byte("-----BEGIN AGE ENCRYPTED FILE-----\n"))
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAA 10\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := openKey(b, chain.Params(), nil); err == nil {
			t.Fatalf("opened %s without a key", k)
		}
	})
}

// FuzzParseCoinbase: a block that a node sent is read or refused.
func FuzzParseCoinbase(f *testing.F) {
	chain := newChain(f)
	n := newSimNode(f, testMaturity)
	id, _ := n.mine(testKey(chain, WPKH, 3).Script(), 5000)
	raw, err := n.RawBlock(context.Background(), id)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 80 {
			if _, err := parseCoinbase(chain, id, b); err == nil {
				t.Fatal("a header cut short was read")
			}
			return
		}
		tx, err := parseCoinbase(chain, chain.BlockID((*[80]byte)(b)), b)
		if err != nil {
			return
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
func signedBatch(tb testing.TB, typ KeyType) (*BatchDoc, *Key, []byte) {
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
	b, err := packetBytes(pkt)
	if err != nil {
		tb.Fatal(err)
	}
	return d, w.key, b
}

// FuzzFinalise: whatever a signer gives back, only a transaction with the id in the ledger comes out.
func FuzzFinalise(f *testing.F) {
	docs := map[bool]*BatchDoc{}
	keys := map[bool]*Key{}
	for taproot, typ := range map[bool]KeyType{false: WPKH, true: TR} {
		d, k, b := signedBatch(f, typ)
		docs[taproot], keys[taproot] = d, k
		f.Add(taproot, b)
	}
	f.Fuzz(func(t *testing.T, taproot bool, b []byte) {
		pkt, err := psbt.NewFromRawBytes(bytes.NewReader(b), false)
		if err != nil {
			return
		}
		d := docs[taproot]
		raw, err := finalise(d, keys[taproot].Script(), pkt)
		if err != nil {
			return
		}
		tx, err := parseTx(raw)
		if err != nil || pool.Hash(tx.TxHash()) != *d.TxID {
			t.Fatalf("another transaction came out: %v", err)
		}
	})
}

// FuzzBatchDoc: a document of the ledger that reads is written back the same.
func FuzzBatchDoc(f *testing.F) {
	d, _, _ := signedBatch(f, WPKH)
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
