package pool

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDifficultyVectors(t *testing.T) {
	all := loadVectors(t)
	for _, v := range all.DifficultyToTarget {
		for algo, want := range map[string]string{"sha256d": v.Sha256dTarget, "scrypt": v.ScryptTarget} {
			one, err := ParseTarget(all.Diff1[algo])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := TargetForDifficulty(one, v.Difficulty); err != nil || got.String() != want {
				t.Errorf("%s at %s: %s, %v; want %s", algo, v.Difficulty, got, err, want)
			}
		}
	}
}

// The text of a difficulty, read by a miner, is the number and the target that the pool counts.
func TestQuantise(t *testing.T) {
	one, err := TargetFromBits(0x1d00ffff)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := Difficulty(math.Exp(rapid.Float64Range(-40, 50).Draw(t, "log")))
		d := raw.Quantise()
		text := d.String()
		if strings.ContainsAny(text, "eE+") || text == "" {
			t.Fatalf("%v is sent as %q", float64(raw), text)
		}
		read, err := strconv.ParseFloat(text, 64)
		if err != nil || Difficulty(read) != d {
			t.Fatalf("%v is sent as %q and read as %v", float64(d), text, read)
		}
		if d.Quantise() != d {
			t.Fatalf("%v changes when quantised again", float64(d))
		}
		if d > raw && raw > minDifficulty {
			if d-raw > 1e-12 {
				t.Fatalf("%v is raised to %v", float64(raw), float64(d))
			}
		}
		if d >= 1 && float64(d) != math.Floor(float64(d)) {
			t.Fatalf("%v is not whole", float64(d))
		}
		parsed, err := ParseDifficulty(text)
		if err != nil || parsed != d {
			t.Fatalf("%q is parsed as %v, %v", text, float64(parsed), err)
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatal(text)
		}
		want := new(big.Rat).Quo(new(big.Rat).SetInt(one.Big()), exact)
		q := new(big.Int).Quo(want.Num(), want.Denom())
		if q.BitLen() > 256 {
			q.Sub(q.Lsh(big.NewInt(1), 256), big.NewInt(1))
		}
		target := d.Target(one)
		if target.Big().Cmp(q) != 0 {
			t.Fatalf("target of %s is %s, want %x", text, target, q)
		}
		if d >= 1e-9 && !near2(float64(DifficultyOf(one, target)), float64(d)) {
			t.Fatalf("difficulty of the target of %s is %v", text, float64(DifficultyOf(one, target)))
		}
	})
}

func near2(a, b float64) bool { return math.Abs(a-b) <= 1e-9*b }

func TestParseDifficulty(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got, err := ParseDifficulty(text); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	f("1", "1")
	f("0.0000001", "0.0000001")
	f("1e-7", "0.0000001")
	f("1.9", "1")
	f("65536.5", "65536")
	f("1e300", "1000000000000000")
	f("1e-300", "0.000000000001")
	f("0.1", "0.1")
	for _, bad := range []string{"", "0", "-1", "NaN", "Inf", "+Inf", "1e999", "0x10", "1_000", "1 ", "one", "1e-999", strings.Repeat("1", 65)} {
		if got, err := ParseDifficulty(bad); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
	if d := Difficulty(math.NaN()).Quantise(); d != minDifficulty {
		t.Errorf("NaN is quantised to %v", float64(d))
	}
	if _, err := TargetForDifficulty(Target{}, "0"); err == nil {
		t.Error("a target for difficulty 0")
	}
	if d := DifficultyOf(Target{}, Target{}); d != maxDifficulty {
		t.Errorf("difficulty of target 0: %v", float64(d))
	}
}
