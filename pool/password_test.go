package pool

import (
	"strings"
	"testing"
)

func TestParsePassword(t *testing.T) {
	f := func(text string, want Password) {
		t.Helper()
		if got := ParsePassword(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	f("", Password{})
	f("x", Password{})
	f("123", Password{})
	f("d=1024", Password{Start: 1024})
	f("D=1024", Password{Start: 1024})
	f("x,d=0.00015;md=0.0001", Password{Start: 0.00015, Minimum: 0.0001})
	f(" d = 8 , m = SOLO ", Password{Start: 8, Solo: true})
	f("d=8,d=9", Password{Start: 8})
	f("d=x,d=9", Password{Start: 9})
	f("m=solo", Password{Solo: true})
	f("m=pplns", Password{})
	f("solo", Password{})
	f("pl=0.05,code=AB-12", Password{Asked: Asked{PayoutLimit: "0.05", Code: "AB-12"}})
	for _, bad := range []string{
		"d=", "d=0", "d=-1", "d=NaN", "d=Inf", "d=1e400", "d=0x10", "md=1_0", "pl=-1", "pl=1.2.3", "pl=.", "pl=1e3",
		"pl=" + strings.Repeat("1", 25), "code=", "code=a b", "code=<b>", "code=" + strings.Repeat("a", 65),
		",;,;", "=", "==", "d", "\x00", "\xff=\xff", "dd=5", "doge=DAddress",
		strings.Repeat("x", maxPassword) + ",d=5",
	} {
		f(bad, Password{})
	}
	f("d=99999999999999999999", Password{Start: maxDifficulty}) // D4: clamped again by the listener and the network
}

// FuzzParsePassword: no password is refused or panics, and what is read is within bounds and the same again
// when written out in the plainest form.
func FuzzParsePassword(f *testing.F) {
	for _, s := range []string{"x", "d=1024", "d=0.5;md=0.1,m=solo", "pl=0.05,code=AB-12", "d=1e-400", "\xff;=,", "D=5,d=6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := ParsePassword(text)
		var plain []string
		for key, d := range map[string]Difficulty{"d=": p.Start, "md=": p.Minimum} {
			if d == 0 {
				continue
			}
			if !(d >= minDifficulty && d <= maxDifficulty) {
				t.Fatalf("%q: difficulty %v", text, d)
			}
			plain = append(plain, key+d.String())
		}
		if p.Solo {
			plain = append(plain, "m=solo")
		}
		if p.Asked.PayoutLimit != "" {
			plain = append(plain, "pl="+p.Asked.PayoutLimit)
		}
		if p.Asked.Code != "" {
			plain = append(plain, "code="+p.Asked.Code)
		}
		if again := ParsePassword(strings.Join(plain, ",")); again != p {
			t.Fatalf("%q: %+v, and %+v written plainly", text, p, again)
		}
	})
}
