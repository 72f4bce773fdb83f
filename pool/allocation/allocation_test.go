package allocation

import (
	"bytes"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/adit-pool/adit/payout/scheme/pplns"
	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
)

func FuzzParse(f *testing.F) {
	a := &File{V: 1, Pool: "toy", Scheme: "pplns", Rows: []Row{}}
	a.Sum, _ = a.sum()
	b, _ := a.encode()
	f.Add(b)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			return
		}
		again, err := a.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s became %s, %v", b, again, err)
		}
	})
}

// drawFile is any block over any window, some accounts with fees of their own.
func drawFile(t *rapid.T) (*ledger.BlockDoc, []pool.Weight) {
	doc := &ledger.BlockDoc{
		Hash: pool.Hash{byte(rapid.IntRange(0, 255).Draw(t, "block"))}, Height: 7, Scheme: "pplns",
		Value: pool.Amount(rapid.Int64Range(0, 21e14).Draw(t, "reward")), FeeVersion: 1,
		FeePPM: rapid.Uint32Range(0, 1_000_000).Draw(t, "fee"), Window: &ledger.BlockWindow{First: 1, Last: 2},
	}
	var weights []pool.Weight
	for i := range rapid.IntRange(0, 12).Draw(t, "accounts") {
		w := pool.Weight{Account: pool.AccountID{byte(i)}, Score: pool.Work{
			Hi: rapid.Uint64Range(0, 1<<36).Draw(t, "hi"), Lo: rapid.Uint64Range(1, 1<<63).Draw(t, "lo")}}
		weights = append(weights, w)
		if rapid.IntRange(0, 3).Draw(t, "own") == 0 {
			doc.AccountFees = append(doc.AccountFees, ledger.AccountFee{Account: w.Account, PPM: rapid.Uint32Range(0, 1_000_000).Draw(t, "own fee"), Version: 2})
		}
	}
	return doc, weights
}

// With fees of their own for some: nothing is lost or made; each gets its exact part less its own fee to
// within two units, and the others do not notice what that fee is; the file reads back and recomputes.
func TestOwnFees(t *testing.T) {
	scheme, err := pplns.New("2")
	if err != nil {
		t.Fatal(err)
	}
	secret := Secret{9}
	rapid.Check(t, func(t *rapid.T) {
		doc, weights := drawFile(t)
		a, credits, err := New("toy", &secret, doc, [32]byte{1}, weights, scheme)
		if err != nil {
			t.Fatal(err)
		}
		sum, total := a.Fee+a.Carry, new(big.Int)
		for _, c := range credits {
			sum += c.Amount
		}
		for _, w := range weights {
			total.Add(total, w.Score.Big())
		}
		if sum != doc.Value || a.Fee < 0 || a.Carry < 0 || len(weights) > 0 && a.Carry != 0 {
			t.Fatalf("reward %d: fee %d, carry %d, in all %d", doc.Value, a.Fee, a.Carry, sum)
		}
		for _, w := range weights {
			ppm := doc.FeePPM
			for _, f := range doc.AccountFees {
				if f.Account == w.Account {
					ppm = f.PPM
				}
			}
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(int64(doc.Value)), w.Score.Big()), total)
			exact.Mul(exact, big.NewRat(int64(1_000_000-ppm), 1_000_000))
			got := pool.Amount(0)
			for _, c := range credits {
				if c.Account == w.Account {
					got = c.Amount
				}
			}
			if d := exact.Sub(exact, big.NewRat(int64(got), 1)); d.Abs(d).Cmp(big.NewRat(2, 1)) >= 0 {
				t.Fatalf("account %x is off by %s", w.Account[:1], d.FloatString(3))
			}
		}
		text, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := back.Recompute(scheme); err != nil {
			t.Fatal(err)
		}
		for i := range doc.AccountFees {
			doc.AccountFees[i].PPM = 1_000_000 - doc.AccountFees[i].PPM
		}
		_, other, err := New("toy", &secret, doc, [32]byte{1}, weights, scheme)
		if err != nil {
			t.Fatal(err)
		}
		common := func(all []pool.Credit) []pool.Credit {
			return slices.DeleteFunc(slices.Clone(all), func(c pool.Credit) bool {
				return slices.ContainsFunc(doc.AccountFees, func(f ledger.AccountFee) bool { return f.Account == c.Account })
			})
		}
		if !slices.Equal(common(credits), common(other)) {
			t.Fatal("what one account pays as fee changes what another gets")
		}
	})
}
