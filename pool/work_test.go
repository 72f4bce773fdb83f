package pool

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var workLimit = new(big.Int).Lsh(big.NewInt(1), 128)

func drawWork(t *rapid.T, name string) Work {
	edge := rapid.SampledFrom([]uint64{0, 1, 1 << 63, math.MaxUint64})
	part := rapid.OneOf(rapid.Uint64(), edge)
	return Work{part.Draw(t, name+" high"), part.Draw(t, name+" low")}
}

func TestWorkAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawWork(t, "a"), drawWork(t, "b"), drawWork(t, "c")
		same := func(what string, got Work, err error, want *big.Int) {
			t.Helper()
			out := want == nil || want.Sign() < 0 || want.Cmp(workLimit) >= 0
			if (err != nil) != out || err == nil && got.Big().Cmp(want) != 0 || err != nil && !got.IsZero() {
				t.Fatalf("%s of %s, %s, %s: %s, %v; want %s", what, a, b, c, got, err, want)
			}
		}
		sum, err := a.Add(b)
		same("sum", sum, err, new(big.Int).Add(a.Big(), b.Big()))
		diff, err := a.Sub(b)
		same("difference", diff, err, new(big.Int).Sub(a.Big(), b.Big()))
		var want *big.Int
		if !c.IsZero() {
			want = new(big.Int).Mul(a.Big(), b.Big())
			want.Quo(want, c.Big())
		}
		part, err := a.MulDiv(b, c)
		same("a*b/c", part, err, want)
		if a.Cmp(b) != a.Big().Cmp(b.Big()) || a.Min(b).Big().Cmp(a.Big()) > 0 || a.Min(b).Big().Cmp(b.Big()) > 0 {
			t.Fatalf("order of %s and %s", a, b)
		}
		exact, _ := new(big.Float).SetInt(a.Big()).Float64()
		if !near2(a.Float64(), exact) {
			t.Fatalf("%s is %v as a float", a, a.Float64())
		}
	})
}

func TestWorkForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWork(t, "work")
		raw, err := json.Marshal(w)
		var again Work
		if err != nil || json.Unmarshal(raw, &again) != nil || again != w {
			t.Fatalf("%s -> %s -> %s", w, raw, again)
		}
		if string(raw) != `"`+w.Big().String()+`"` {
			t.Fatalf("%s is written %s", w.Big(), raw)
		}
		bin, err := w.AppendBinary([]byte{7})
		if err != nil || len(bin) != 17 || WorkFromBytes(bin[1:]) != w {
			t.Fatalf("%s -> %x, %v", w, bin, err)
		}
	})
	for _, bad := range []string{"", "-1", "+1", "1.0", "0x1", " 1", strings.Repeat("9", 40), workLimit.String()} {
		w := WorkOf(5)
		if err := w.UnmarshalText([]byte(bad)); err == nil || w != WorkOf(5) {
			t.Errorf("%q is read as %s, %v", bad, w, err)
		}
	}
}
