package pool

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func drawAmount(t *rapid.T, name string) Amount {
	edge := rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, 21e14})
	return Amount(rapid.OneOf(rapid.Int64(), edge, rapid.Int64Range(-1000, 1000)).Draw(t, name))
}

func TestAmountAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawAmount(t, "a"), drawAmount(t, "b")
		same := func(what string, got Amount, err error, want *big.Int) {
			t.Helper()
			if err == nil && (!want.IsInt64() || int64(got) != want.Int64()) {
				t.Fatalf("%s of %d and %d: %d, want %s", what, a, b, got, want)
			}
			if err != nil && (want.IsInt64() || !errors.Is(err, ErrOverflow)) {
				t.Fatalf("%s of %d and %d: %v, want %s", what, a, b, err, want)
			}
		}
		x, y := big.NewInt(int64(a)), big.NewInt(int64(b))
		sum, err := a.Add(b)
		same("sum", sum, err, new(big.Int).Add(x, y))
		diff, err := a.Sub(b)
		same("difference", diff, err, new(big.Int).Sub(x, y))

		ppm := rapid.Uint32Range(0, 1_100_000).Draw(t, "ppm")
		part, err := a.MulPPM(ppm)
		if bad := a < 0 || ppm > 1_000_000; (err != nil) != bad {
			t.Fatalf("%d ppm of %d: %v", ppm, a, err)
		}
		if want := new(big.Int).Mul(x, big.NewInt(int64(ppm))); err == nil && want.Quo(want, big.NewInt(1_000_000)).Int64() != int64(part) {
			t.Fatalf("%d ppm of %d: %d, want %s", ppm, a, part, want)
		}

		places := rapid.IntRange(0, 18).Draw(t, "decimals")
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
		if got, want := a.Format(places), new(big.Rat).SetFrac(x, unit).FloatString(places); got != want && !(a == 0) {
			t.Fatalf("%d with %d decimals is %q, want %q", a, places, got, want)
		}
	})
	if got := Amount(-12000).Format(8); got != "-0.00012000" {
		t.Errorf("-12000 is %q", got)
	}
	if got := Amount(0).Format(8); got != "0.00000000" {
		t.Errorf("0 is %q", got)
	}
}

// A written amount reads back as itself, and what is no number of coins is refused.
func TestParseAmount(t *testing.T) {
	f := func(text string, decimals int, want Amount) {
		t.Helper()
		got, err := ParseAmount(text, decimals)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
		if want < 0 {
			return
		}
		if again, err := ParseAmount(got.Format(decimals), decimals); err != nil || again != got {
			t.Errorf("%q: %d reads back as %d, %v", text, got, again, err)
		}
	}
	f("0", 8, 0)
	f("0.25", 8, 25_000_000)
	f(".5", 8, 50_000_000)
	f("5.", 8, 500_000_000)
	f("92233720368.54775807", 8, 1<<63-1)
	f("007", 0, 7)
	for _, bad := range []string{"", ".", "-1", "+1", "1e3", "1.2.3", "0.123456789", "92233720368.54775808", "١"} {
		f(bad, 8, -1)
	}
}
