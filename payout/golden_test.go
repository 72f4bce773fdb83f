package payout

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/psbt"

	"github.com/adit-pool/adit/payout/sign"
)

// update writes the golden files anew; a changed one needs its reason in the commit.
var update = flag.Bool("update", false, "write golden files")

// TestGoldenPSBT holds the PSBT and the signed bytes of a fixed payout against files, for both key types.
func TestGoldenPSBT(t *testing.T) {
	ctx := context.Background()
	for _, typ := range []sign.KeyType{sign.WPKH, sign.TR} {
		w := newWorld(t, typ)
		w.rich(2)
		w.finish()
		w.rich(1)
		d := w.built()
		pkt, err := psbt.NewFromRawBytes(bytes.NewReader(d.PSBT), false)
		if err != nil {
			t.Fatal(err)
		}
		for i, in := range pkt.Inputs {
			point := pkt.UnsignedTx.TxIn[i].PreviousOutPoint
			if in.NonWitnessUtxo == nil || in.NonWitnessUtxo.TxHash() != point.Hash || in.WitnessUtxo == nil ||
				in.WitnessUtxo.Value != in.NonWitnessUtxo.TxOut[point.Index].Value {
				t.Errorf("%s: input %d lacks its previous transaction", typ, i)
			}
		}
		golden(t, fmt.Sprintf("%s.psbt", typ), base64.StdEncoding.EncodeToString(d.PSBT))
		if d, err = w.pay.Sign(ctx, d.ID); err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("%s.tx", typ), fmt.Sprintf("%x", []byte(d.Raw)))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.TrimRight(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
		t.Errorf("%s differs:\n%s", name, got)
	}
}
