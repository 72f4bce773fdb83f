package kernels

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/sha256d"
)

func TestRun(t *testing.T) {
	results, err := Run(t.Context(), Options{Algorithm: "sha256d", For: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	usable := 0
	for _, impl := range sha256d.Implementations() {
		if impl.Off == "" {
			usable++
		}
	}
	if len(results) < usable+2 || results[0].Path != "generic" || results[0].RatioGeneric != 1 {
		t.Fatalf("%d usable implementations, results %+v", usable, results)
	}
	for _, r := range results {
		if r.Algorithm != "sha256d" || r.Rate <= 0 || r.Threads < 1 || r.RatioGeneric <= 0 {
			t.Errorf("%+v", r)
		}
	}
	var text bytes.Buffer
	if err := WriteJSON(&text, results); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != len(results) {
		t.Fatalf("%d lines of JSON for %d results", len(lines), len(results))
	}
	for _, line := range lines {
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"algorithm", "path", "hashes_per_second", "limit_fraction", "ratio_to_generic", "clock_ok"} {
			if _, there := members[name]; !there {
				t.Errorf("%s has no %s", line, name)
			}
		}
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Algorithm: "sha256d"}); err == nil {
		t.Error("ran after its context had ended")
	}
	for _, n := range []int{0, -1, 1 << 20} {
		if _, err := Run(t.Context(), Options{Algorithm: "sha256d", Threads: []int{n}}); err == nil {
			t.Errorf("ran with %d threads", n)
		}
	}
	if _, err := Run(t.Context(), Options{Algorithm: "x11"}); err == nil || !strings.Contains(err.Error(), `"x11"`) {
		t.Errorf("unknown kernel: %v", err)
	}
}

func TestTable(t *testing.T) {
	half := 0.5
	var text bytes.Buffer
	err := WriteTable(&text, []Result{
		{Algorithm: "scrypt", Path: "generic", Threads: 1, Rate: 3000, RatioGeneric: 1, ClockOK: true},
		{Algorithm: "scrypt", Path: "avx2-8x", Threads: 1, Rate: 24e3, LimitFraction: &half, RatioGeneric: 8, ClockOK: kernels.Clock() == 0},
		{Algorithm: "scrypt", Path: "avx2-8x", Threads: 2, Rate: 46e3, LimitFraction: &half, RatioGeneric: 16, ClockOK: true},
	})
	for _, want := range []string{"24.00 k", "50 %", "8.00", "1.92"} {
		if err != nil || !strings.Contains(text.String(), want) {
			t.Errorf("no %q (%v) in\n%s", want, err, &text)
		}
	}
	if kernels.Clock() != 0 && !strings.Contains(text.String(), "too busy to judge 1 of 3") {
		t.Errorf("busy lines are not told of in\n%s", &text)
	}
}

// The limits of the page that the counts are from: 43 MH/s, 17.9 MH/s and
// 32.3 kH/s at 3.243 GHz with Zen 3's units.
func TestLimits(t *testing.T) {
	zen3 := kernels.Ports{Rounds2: 1, Rounds4: 2.57, Mix256: 0.25, Mix512: 0.5}
	f := func(algorithm, path string, least, most float64) {
		t.Helper()
		if rate := 3.243e9 / limit(algorithm, path, zen3); rate < least || rate > most {
			t.Errorf("%s %s: limit %v H/s", algorithm, path, rate)
		}
	}
	f("sha256d", "shani-3x", 42e6, 44e6)
	f("sha256d", "avx2-8x", 17e6, 18.5e6)
	f("sha256d", "avx512-16x", 34e6, 36e6)
	f("sha256d", "avx512-32x-rolled", 40e6, 43e6)
	f("scrypt", "avx2-6x", 32e3, 32.6e3)
	if limit("sha256d", "generic", zen3) != 0 || limit("sha256d", "generic-rolled", zen3) != 0 {
		t.Error("generic code has a limit")
	}
}

func TestChoices(t *testing.T) {
	var text bytes.Buffer
	choices := Choose("")
	if err := WriteChoices(&text, choices); err != nil || len(choices) != 2 {
		t.Fatal(choices, err)
	}
	for _, want := range []string{"sha256d " + sha256d.Fastest().Name, "scrypt ", " ms of processor time"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in %q", want, &text)
		}
	}
	if one := Choose("scrypt"); len(one) != 1 || one[0].Algorithm != "scrypt" {
		t.Errorf("%+v", one)
	}
}
